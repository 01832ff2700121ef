//! The client over real QUIC on loopback.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_client::{ADMIN_FILE, Client, ClientConfig, ClientError, ENDPOINT_FILE};
use gantry_link::identity::{
    CertificateAuthority, ClusterUuid, Credentials, EndpointKeys, IdentityDir,
};
use gantry_link::quic::{LinkIdentity, QuicConfig, QuicLink};
use gantry_link::{Answer, Inbound, Link, Peer};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::QueryCluster;
use gantry_wire::{BootId, Envelope, NotDelivered, Role, encode};
use uuid::Uuid;

/// Refuses every question with a fault that tells the asker's role.
struct TellRole;

impl Inbound for TellRole {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        Err(NotDelivered::NoSuchActor(envelope.to.to_string()))
    }

    fn ask(&self, from: &Peer, _envelope: Envelope, answer: Answer) {
        type Reply = <QueryCluster as gantry_wire::Message>::Reply;
        let reply: Reply = Err(Fault::new(FaultCode::WrongState, from.role.as_str()));
        answer.send(Ok(encode(&reply).expect("encodes").into()));
    }
}

/// The authority of one cluster.
struct Identities(CertificateAuthority);

impl Identities {
    fn new() -> Self {
        let cluster = ClusterUuid(Uuid::new_v4());
        Self(CertificateAuthority::create(cluster, now_unix_s()).expect("created"))
    }

    fn issue(&self, role: Role, id: u128) -> Credentials {
        self.0.issue_new(role, Uuid::from_u128(id), now_unix_s()).expect("issued")
    }
}

#[expect(clippy::disallowed_methods, reason = "TLS compares certificates with the real time")]
fn now_unix_s() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn serve(cluster: &Identities, bind: SocketAddr) -> QuicLink {
    QuicLink::start(QuicConfig {
        bind,
        identity: LinkIdentity::certified(cluster.issue(Role::Candidate, 1)),
        boot: BootId(Uuid::new_v4()),
        keys: EndpointKeys::generate().expect("randomness"),
        control_kinds: Vec::new(),
        inbound: Arc::new(TellRole),
        runtime: None,
    })
    .expect("starts")
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn state_dir(cluster: &Identities, endpoint: SocketAddr) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = state_path(&dir);
    IdentityDir::open(&path)
        .and_then(|identities| identities.save_credentials(&cluster.issue(Role::Admin, 2)))
        .expect("saved");
    assert!(path.join(ADMIN_FILE).exists());
    std::fs::write(path.join(ENDPOINT_FILE), format!("{endpoint}\n")).expect("written");
    dir
}

/// Below the temporary directory, because that one may be readable by others.
fn state_path(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("state")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_finds_its_daemon_by_the_state_directory() {
    let cluster = Identities::new();
    let server = serve(&cluster, loopback());
    let dir = state_dir(&cluster, server.local_addr());
    let config = ClientConfig::discover(&state_path(&dir), None).await.expect("found");
    let client = Client::connect(config).await.expect("connected");
    let error = client.cluster().await.expect_err("refused with the role");
    assert_eq!(error.fault().map(|fault| fault.message.as_str()), Some("admin"));
    client.close(Duration::from_secs(1)).await;
    server.close(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_port_where_nobody_answers_is_named() {
    let cluster = Identities::new();
    // Bound and silent, so that no other process answers there.
    let silent = UdpSocket::bind(loopback()).expect("bound");
    let addr = silent.local_addr().expect("bound");
    let dir = state_dir(&cluster, addr);
    let config = ClientConfig::discover(&state_path(&dir), None).await.expect("found");
    let config = ClientConfig { connect_timeout: Duration::from_millis(100), ..config };
    let error = Client::connect(config).await.expect_err("silent");
    assert!(
        matches!(&error, ClientError::NoDaemon { address, .. } if *address == addr.to_string())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_daemon_of_another_cluster_is_not_talked_to() {
    let (ours, theirs) = (Identities::new(), Identities::new());
    let server = serve(&theirs, loopback());
    let dir = state_dir(&ours, server.local_addr());
    let config = ClientConfig::discover(&state_path(&dir), None).await.expect("found");
    let error = Client::connect(config).await.expect_err("another cluster");
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
    server.close(Duration::from_secs(1)).await;
}
