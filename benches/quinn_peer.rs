//! Plain quinn as one would use it: mutual TLS, one stream, frames of a length and a record.
//!
//! No actors, no envelope, no lanes. Each side has one current-thread runtime.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use gantry_link::identity::{CertificateAuthority, ClusterUuid};
use gantry_wire::Role;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, RecvStream, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::child::{Served, cpu_us, tell_parent, wait_for_parent};
use crate::remote_ask::{Flow, Record};

const ALPN: &[u8] = b"bench/1";
const AUTHORITY_FILE: &str = "authority.pem";
const CLUSTER: ClusterUuid = ClusterUuid(Uuid::from_u128(0xbe_4c));
const LENGTH_BYTES: usize = 4;
/// As the link's own.
const CHUNK_BYTES: usize = 64 * 1024;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

type Certified = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certificate(authority: &CertificateAuthority) -> anyhow::Result<Certified> {
    let issued = authority.issue_new(Role::Node, Uuid::new_v4(), now_unix_s()?)?;
    let key = PrivateKeyDer::from_pem_slice(issued.to_pem().as_bytes()).context("its key")?;
    Ok((issued.chain().to_vec(), key))
}

#[expect(clippy::disallowed_methods, reason = "certificates are checked against this clock")]
fn now_unix_s() -> anyhow::Result<u64> {
    let now = std::time::SystemTime::now();
    Ok(now.duration_since(std::time::UNIX_EPOCH).context("before 1970")?.as_secs())
}

pub(crate) fn serve(dir: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(dir.join(AUTHORITY_FILE)).context("the authority")?;
    let authority = CertificateAuthority::from_pem(CLUSTER, &text)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let (chain, key) = certificate(&authority)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime()?.block_on(async {
            let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            tell.send(endpoint.local_addr()?)?;
            let connection = endpoint.accept().await.context("endpoint closed")?.await?;
            let (send, recv) = connection.accept_bi().await?;
            // A root future would pay for a poll of the event queue at every wake-up.
            tokio::spawn(answer(send, recv)).await?
        })
    });
    tell_parent(&told.recv().context("the endpoint did not start")?.to_string())?;
    wait_for_parent();
    Ok(())
}

/// Decodes every record and encodes its answer; all that came together goes back together.
async fn answer(mut send: SendStream, mut recv: RecvStream) -> anyhow::Result<()> {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    while let Some(chunk) = recv.read_chunk(CHUNK_BYTES, true).await? {
        input.extend_from_slice(&chunk.bytes);
        let used = for_each_frame(&input, |body| {
            let record: Record = gantry_wire::decode(body)?;
            if record.wants_answer() {
                put_frame(&mut output, &record.next())?;
            }
            Ok(())
        })?;
        input.drain(..used);
        if !output.is_empty() {
            send.write_all(&output).await?;
            output.clear();
        }
    }
    Ok(())
}

fn put_frame(output: &mut Vec<u8>, record: &Record) -> anyhow::Result<()> {
    let body = gantry_wire::encode(record)?;
    output.extend_from_slice(&u32::try_from(body.len())?.to_be_bytes());
    output.extend_from_slice(&body);
    Ok(())
}

/// How many bytes were whole frames.
fn for_each_frame(
    input: &[u8],
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut used = 0;
    while let Some((length, rest)) = input[used..].split_first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(body) = rest.get(..length) else { break };
        each(body)?;
        used += LENGTH_BYTES + length;
    }
    Ok(used)
}

pub(crate) struct QuinnPeer {
    runtime: Runtime,
    streams: Option<(SendStream, RecvStream)>,
    _endpoint: Endpoint,
    far: Served,
}

impl QuinnPeer {
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let authority = CertificateAuthority::create(CLUSTER, now_unix_s()?)?;
        std::fs::write(dir.join(AUTHORITY_FILE), authority.to_pem())?;
        let far = Served::start(&["quinn", dir.to_str().context("a path that is no text")?])?;
        let (chain, key) = certificate(&authority)?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(SignatureOnly))
            .with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let (runtime, addr) = (runtime()?, far.line.parse()?);
        let (endpoint, streams) = runtime.block_on(async {
            let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let connection = endpoint.connect_with(config, addr, "any.bench")?.await?;
            let streams = connection.open_bi().await?;
            anyhow::Ok((endpoint, streams))
        })?;
        Ok(Self { runtime, streams: Some(streams), _endpoint: endpoint, far })
    }

    fn run<T: Send + 'static, F>(
        &mut self,
        work: impl FnOnce(SendStream, RecvStream) -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<(T, SendStream, RecvStream)>> + Send + 'static,
    {
        let (send, recv) = self.streams.take().context("its stream has broken")?;
        let work = work(send, recv);
        let (answer, send, recv) = self.runtime.block_on(async { tokio::spawn(work).await })??;
        self.streams = Some((send, recv));
        Ok(answer)
    }

    /// Round trips one by one.
    pub(crate) fn round_trips_us(&mut self, n: usize) -> anyhow::Result<Vec<f64>> {
        self.run(move |mut send, mut recv| async move {
            let mut all = Vec::with_capacity(n);
            let (mut output, mut input) = (Vec::new(), Vec::new());
            for number in 0..n as u64 {
                let start = Instant::now();
                output.clear();
                put_frame(&mut output, &Record::numbered(number))?;
                send.write_all(&output).await?;
                receive(&mut recv, &mut input, 1).await?;
                all.push(start.elapsed().as_nanos() as f64 / 1e3);
            }
            Ok((all, send, recv))
        })
    }

    /// Many at once.
    pub(crate) fn pipelined(&mut self, n: usize, in_flight: usize) -> anyhow::Result<Flow> {
        self.flow(n, move |send, recv| pipelined(send, recv, n, in_flight))
    }

    /// Messages without an answer, but for the last one.
    pub(crate) fn one_way(&mut self, n: usize) -> anyhow::Result<Flow> {
        self.flow(n, move |send, recv| one_way(send, recv, n))
    }

    fn flow<F>(
        &mut self,
        n: usize,
        work: impl FnOnce(SendStream, RecvStream) -> F,
    ) -> anyhow::Result<Flow>
    where
        F: Future<Output = anyhow::Result<((), SendStream, RecvStream)>> + Send + 'static,
    {
        let (near, far) = (cpu_us(std::process::id())?, self.far.cpu_us()?);
        let start = Instant::now();
        self.run(work)?;
        let wall_us = start.elapsed().as_nanos() as f64 / 1e3;
        let (near, far) = (cpu_us(std::process::id())? - near, self.far.cpu_us()? - far);
        Ok(Flow::of(n, wall_us, near, far))
    }
}

async fn receive(recv: &mut RecvStream, input: &mut Vec<u8>, n: usize) -> anyhow::Result<()> {
    let mut n_seen = 0;
    while n_seen < n {
        let chunk = recv.read_chunk(CHUNK_BYTES, true).await?.context("the stream ended")?;
        input.extend_from_slice(&chunk.bytes);
        let used = for_each_frame(input, |body| {
            let _record: Record = gantry_wire::decode(body)?;
            n_seen += 1;
            Ok(())
        })?;
        input.drain(..used);
    }
    Ok(())
}

async fn pipelined(
    mut send: SendStream,
    mut recv: RecvStream,
    n: usize,
    in_flight: usize,
) -> anyhow::Result<((), SendStream, RecvStream)> {
    let window = Arc::new(Semaphore::new(in_flight));
    let free = window.clone();
    let reader = tokio::spawn(async move {
        let mut input = Vec::new();
        let mut n_seen = 0;
        while n_seen < n {
            let chunk = recv.read_chunk(CHUNK_BYTES, true).await?.context("the stream ended")?;
            input.extend_from_slice(&chunk.bytes);
            let before = n_seen;
            let used = for_each_frame(&input, |body| {
                let _record: Record = gantry_wire::decode(body)?;
                n_seen += 1;
                Ok(())
            })?;
            input.drain(..used);
            free.add_permits(n_seen - before);
        }
        anyhow::Ok(recv)
    });
    let mut output = Vec::new();
    let mut n_sent = 0;
    while n_sent < n {
        window.acquire().await?.forget();
        put_frame(&mut output, &Record::numbered(n_sent as u64))?;
        n_sent += 1;
        // All that has room goes together.
        while n_sent < n
            && let Ok(permit) = window.try_acquire()
        {
            permit.forget();
            put_frame(&mut output, &Record::numbered(n_sent as u64))?;
            n_sent += 1;
        }
        send.write_all(&output).await?;
        output.clear();
    }
    Ok(((), send, reader.await??))
}

async fn one_way(
    mut send: SendStream,
    mut recv: RecvStream,
    n: usize,
) -> anyhow::Result<((), SendStream, RecvStream)> {
    let mut output = Vec::new();
    for number in 1..=n as u64 {
        let wants_answer = number == n as u64;
        put_frame(&mut output, &Record::numbered(number).wanting_answer(wants_answer))?;
        if output.len() >= CHUNK_BYTES || wants_answer {
            send.write_all(&output).await?;
            output.clear();
        }
    }
    receive(&mut recv, &mut Vec::new(), 1).await?;
    Ok(((), send, recv))
}

/// The near side started the far one itself; that it holds the key it shows is still checked, so
/// that the handshake and the cipher are those of real use.
#[derive(Debug)]
struct SignatureOnly;

impl ServerCertVerifier for SignatureOnly {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
