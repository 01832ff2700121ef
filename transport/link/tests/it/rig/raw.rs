//! A peer that does not keep to the rules: QUIC and TLS by hand, frames as plain bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_link::BulkRefusal;
use gantry_link::identity::{ClusterUuid, Credentials};
use gantry_wire::{BootId, NodeId};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde::{Deserialize, Serialize};

use super::loopback;

const ALPN: &[u8] = b"gantry/1";

/// The wire form of frames, written down a second time: a change of the first must be meant.
pub(crate) enum RawFrame {
    Greeting(Greeting),
    Lane(RawLane),
    /// To a path and a name that no frame before it on its stream has used.
    Ask {
        id: u8,
        path: &'static str,
        name: &'static str,
        body: &'static str,
    },
    Reply {
        id: u8,
        body: Vec<u8>,
    },
}

/// Hellos are in the named form of the codec.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Greeting {
    Hello {
        versions: Vec<u16>,
        cluster: Option<ClusterUuid>,
        node: NodeId,
        boot: BootId,
        features: Vec<String>,
        dial: u64,
        accepted: Option<()>,
    },
    HelloReply {
        version: u16,
        cluster: ClusterUuid,
        node: NodeId,
        boot: BootId,
        features: Vec<String>,
    },
    Bulk {
        versions: Vec<u16>,
        cluster: Option<ClusterUuid>,
        node: NodeId,
        boot: BootId,
        features: Vec<String>,
        kind: String,
        header: Bytes,
    },
    BulkReply {
        version: u16,
        refusal: Option<BulkRefusal>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RawLane {
    Control,
    User,
}

impl RawFrame {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let body = match self {
            Self::Greeting(greeting) => gantry_wire::encode(greeting).expect("encodes"),
            Self::Lane(lane) => vec![1, *lane as u8],
            Self::Ask { id, path, name, body } => {
                let text = |text: &str| {
                    let length = u8::try_from(text.len()).expect("short");
                    [&[0, length], text.as_bytes()].concat()
                };
                // Both texts into slot 0, five seconds.
                [&[3, *id, 3], &*text(path), &text(name), &[0x88, 0x27], body.as_bytes()].concat()
            }
            Self::Reply { id, body } => [&[4, *id], body.as_slice()].concat(),
        };
        let mut bytes = u32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
        bytes.extend(body);
        bytes
    }

    /// A hello that would be accepted from whoever `node` is.
    pub(crate) fn hello(node: NodeId, boot: BootId) -> Self {
        Self::Greeting(Greeting::Hello {
            versions: vec![2],
            cluster: None,
            node,
            boot,
            features: Vec::new(),
            dial: 1,
            accepted: None,
        })
    }

    /// Asks for a bulk transfer, as `node`.
    pub(crate) fn bulk(node: NodeId, boot: BootId, kind: &str) -> Self {
        Self::Greeting(Greeting::Bulk {
            versions: vec![2],
            cluster: None,
            node,
            boot,
            features: Vec::new(),
            kind: kind.to_owned(),
            header: Bytes::new(),
        })
    }
}

/// Reads one frame as bytes.
pub(crate) async fn read_bytes(recv: &mut RecvStream) -> Vec<u8> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.expect("a length");
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    recv.read_exact(&mut body).await.expect("a body");
    body
}

/// Reads a hello or its answer.
pub(crate) async fn read_greeting(recv: &mut RecvStream) -> Greeting {
    gantry_wire::decode(&read_bytes(recv).await).expect("a hello")
}

/// Reads the first frame of a lane.
pub(crate) async fn read_lane(recv: &mut RecvStream) -> RawLane {
    match read_bytes(recv).await.as_slice() {
        [1, 0] => RawLane::Control,
        [1, 1] => RawLane::User,
        other => panic!("no lane: {other:?}"),
    }
}

/// Reads an ask and gives its id, which is small.
pub(crate) async fn read_ask(recv: &mut RecvStream) -> u8 {
    match read_bytes(recv).await.as_slice() {
        [3, id, ..] if *id < 0x80 => *id,
        other => panic!("no ask: {other:?}"),
    }
}

/// An endpoint that dials with this certificate, or with none, and believes every server.
pub(crate) fn dialer(credentials: Option<&Credentials>) -> Endpoint {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelieveAll));
    let mut tls = match credentials {
        Some(credentials) => {
            let (chain, key) = parts(credentials);
            builder.with_client_auth_cert(chain, key).expect("certificate")
        }
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let tls = QuicClientConfig::try_from(tls).expect("QUIC");
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_millis(300)));
    config.transport_config(Arc::new(transport));
    let mut endpoint = Endpoint::client(loopback(0)).expect("binds");
    endpoint.set_default_client_config(config);
    endpoint
}

/// An endpoint that accepts with this certificate.
pub(crate) fn acceptor(credentials: &Credentials) -> Endpoint {
    let (chain, key) = parts(credentials);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let tls = QuicServerConfig::try_from(tls).expect("QUIC");
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    Endpoint::server(config, loopback(0)).expect("binds")
}

fn parts(credentials: &Credentials) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivateKeyDer::from_pem_slice(credentials.to_pem().as_bytes()).expect("a key");
    (credentials.chain().to_vec(), key)
}

pub(crate) async fn connect(endpoint: &Endpoint, addr: SocketAddr) -> Connection {
    endpoint.connect(addr, "any.gantry").expect("dials").await.expect("connects")
}

/// Sends a hello and gives back the stream of its answer.
pub(crate) async fn say_hello(connection: &Connection, hello: &RawFrame) -> RecvStream {
    let (mut send, recv) = connection.open_bi().await.expect("opens");
    send.write_all(&hello.to_bytes()).await.expect("writes");
    recv
}

/// Opens a lane.
pub(crate) async fn open_lane(connection: &Connection, lane: RawLane) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.expect("opens");
    send.write_all(&RawFrame::Lane(lane).to_bytes()).await.expect("writes");
    (send, recv)
}

/// The number and the words with which the other end closed.
pub(crate) async fn closed_with(connection: &Connection) -> (u64, String) {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => {
            (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
        }
        other => panic!("closed in another way: {other}"),
    }
}

#[derive(Debug)]
struct BelieveAll;

impl ServerCertVerifier for BelieveAll {
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
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
