//! Commands on the daemon's own machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gantry_link::identity::ClusterUuid;
use gantry_link::local::{
    LocalClient, LocalConfig, LocalCredentials, LocalDialError, LocalGate, LocalListener,
    LocalStartError,
};
use gantry_link::{Answer, Inbound, Peer};
use gantry_wire::{ActorPath, AskError, BootId, Envelope, NodeId, NotDelivered, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::rig::new_boot;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers each ask by what its body says.
#[derive(Default)]
struct Echo {
    /// Asks that are not answered.
    kept: Mutex<Vec<Answer>>,
    has_kept: Notify,
}

impl Inbound for Echo {
    fn tell(&self, _from: &Peer, envelope: Envelope) -> Result<(), NotDelivered> {
        Err(NotDelivered::NoSuchActor(envelope.to.to_string()))
    }

    fn ask(&self, from: &Peer, envelope: Envelope, answer: Answer) {
        match envelope.body.as_ref() {
            b"who am I" => answer.send(Ok(from.role.as_str().into())),
            b"keep" => {
                assert!(answer.begin(), "its deadline has not passed");
                self.kept.lock().expect("lock").push(answer);
                self.has_kept.notify_one();
            }
            b"queue" => self.kept.lock().expect("lock").push(answer),
            _ => answer.send(Ok(envelope.body)),
        }
    }
}

/// Says the same of everybody.
struct Says(Result<Role, String>);

impl LocalGate for Says {
    fn role_of(&self, who: LocalCredentials) -> BoxFuture<'_, Result<Role, String>> {
        assert_eq!(who.pid, Some(i32::try_from(std::process::id()).expect("a pid")));
        Box::pin(std::future::ready(self.0.clone()))
    }
}

struct Rig {
    dir: tempfile::TempDir,
    echo: Arc<Echo>,
}

impl Rig {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), echo: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn try_listen(&self, path: &Path, says: Says) -> Result<LocalListener, LocalStartError> {
        LocalListener::start(LocalConfig {
            path: path.to_owned(),
            mode: 0o600,
            cluster: ClusterUuid(Uuid::from_u128(0xc1)),
            node: NodeId(Uuid::from_u128(1)),
            boot: new_boot(),
            inbound: self.echo.clone(),
            gate: Arc::new(says),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    fn listen(&self, role: Role) -> LocalListener {
        self.try_listen(&self.path(), Says(Ok(role))).expect("listens")
    }

    async fn dial(&self) -> Result<LocalClient, LocalDialError> {
        LocalClient::connect(&self.path(), new_boot(), PATIENCE).await
    }

    async fn connect(&self) -> LocalClient {
        self.dial().await.expect("connected")
    }
}

fn envelope(body: &'static [u8], deadline_ms: u32) -> Envelope {
    let to = ActorPath::new("/cluster").expect("valid");
    Envelope::new(to, "say".into(), Bytes::from_static(body), deadline_ms)
}

async fn ask(client: &LocalClient, body: &'static [u8]) -> Result<Bytes, AskError> {
    client.ask(&envelope(body, 5_000)).await
}

#[tokio::test]
async fn a_message_carries_the_role_that_the_gate_gave() {
    for role in [Role::Admin, Role::Reader] {
        let rig = Rig::new();
        let listener = rig.listen(role);
        let client = rig.connect().await;
        assert_eq!(ask(&client, b"who am I").await, Ok(role.as_str().into()));
        listener.close().await;
    }
}

#[tokio::test]
async fn who_has_no_role_is_told_why() {
    let rig = Rig::new();
    let listener = rig.try_listen(&rig.path(), Says(Err("you are nobody".to_owned())));
    let refused = rig.dial().await.err().expect("refused");
    let is_told = matches!(&refused, LocalDialError::Refused { reason, .. }
        if reason == "you are nobody");
    assert!(is_told, "{refused:?}");
    drop(listener);
}

#[tokio::test]
async fn many_asks_of_one_command_find_their_answers() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let client = rig.connect().await;
    let asked = (0..500).map(|number: u32| {
        let body = Bytes::from(number.to_string());
        let answer = client.ask(&Envelope { body: body.clone(), ..envelope(b"", 5_000) });
        async move { assert_eq!(answer.await, Ok(body)) }
    });
    futures_util::future::join_all(asked.collect::<Vec<_>>()).await;
    listener.close().await;
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let client = rig.connect().await;
    let body = Bytes::from(vec![7; 3 << 20]);
    let sent = Envelope { body: body.clone(), ..envelope(b"", 5_000) };
    assert_eq!(client.ask(&sent).await, Ok(body));
    listener.close().await;
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_daemon() {
    let rig = Rig::new();
    assert!(matches!(rig.dial().await, Err(LocalDialError::Absent { .. })));
    // A socket that a killed daemon has left.
    let left = std::os::unix::net::UnixListener::bind(rig.path()).expect("bound");
    drop(left);
    assert!(rig.path().exists());
    assert!(matches!(rig.dial().await, Err(LocalDialError::Absent { .. })));
    // The next one takes its place.
    let listener = rig.listen(Role::Reader);
    assert!(rig.dial().await.is_ok());
    listener.close().await;
    assert!(!rig.path().exists(), "it goes with its daemon");
}

#[tokio::test]
async fn a_daemon_that_ends_while_it_is_dialled_has_not_answered() {
    let rig = Rig::new();
    let listening = std::os::unix::net::UnixListener::bind(rig.path()).expect("bound");
    let mut dialling = std::pin::pin!(rig.dial());
    assert!(futures_util::poll!(dialling.as_mut()).is_pending());
    drop(listening);
    let error = dialling.await.err().expect("nobody is there");
    assert!(matches!(error, LocalDialError::NoHello { .. }), "{error:?}");
}

#[tokio::test]
async fn the_socket_has_the_mode_that_it_was_given() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let mode = std::fs::metadata(listener.path()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_path_that_the_kernel_has_no_room_for_is_refused_as_that() {
    let rig = Rig::new();
    let long = rig.dir.path().join("x".repeat(120));
    let refused = rig.try_listen(&long, Says(Ok(Role::Admin))).err().expect("refused");
    assert!(matches!(refused, LocalStartError::PathTooLong { .. }), "{refused}");
    let absent = LocalClient::connect(&long, new_boot(), PATIENCE).await;
    assert!(matches!(absent, Err(LocalDialError::Absent { .. })));
}

#[tokio::test]
async fn an_ask_that_had_begun_when_the_daemon_went_has_an_unknown_outcome() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let client = rig.connect().await;
    let answer = client.ask(&envelope(b"keep", 5_000));
    rig.echo.has_kept.notified().await;
    listener.close().await;
    assert!(matches!(answer.await, Err(AskError::Unknown(_))));
    let next = ask(&client, b"hello").await;
    let is_unreachable =
        matches!(next, Err(AskError::NotDelivered(NotDelivered::Unreachable { .. })));
    assert!(is_unreachable && !client.is_connected(), "{next:?}");
}

#[tokio::test]
async fn at_the_deadline_the_daemon_says_whether_it_had_begun() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let client = rig.connect().await;
    let queued = client.ask(&envelope(b"queue", 100)).await;
    assert!(matches!(queued, Err(AskError::NotStarted(_))), "{queued:?}");
    let begun = client.ask(&envelope(b"keep", 100)).await;
    assert!(matches!(begun, Err(AskError::Unknown(_))), "{begun:?}");
    listener.close().await;
}

#[tokio::test]
async fn bad_bytes_end_their_connection_and_no_other() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let client = rig.connect().await;
    for bytes in [&[0xff; 64][..], &[0, 0, 0, 1, 0xc1], &[0, 0, 0, 1, 6]] {
        let mut stream = tokio::net::UnixStream::connect(rig.path()).await.expect("connected");
        stream.write_all(bytes).await.expect("written");
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{bytes:?} does not end its connection");
        assert!(rest.is_empty(), "{rest:?}");
    }
    assert_eq!(ask(&client, b"who am I").await, Ok("admin".into()));
    listener.close().await;
}

#[tokio::test]
async fn two_commands_with_one_boot_do_not_meet() {
    let rig = Rig::new();
    let listener = rig.listen(Role::Admin);
    let boot = BootId(Uuid::from_u128(5));
    let first = LocalClient::connect(&rig.path(), boot, PATIENCE).await.expect("connected");
    let second = LocalClient::connect(&rig.path(), boot, PATIENCE).await.expect("connected");
    drop(first);
    assert_eq!(ask(&second, b"who am I").await, Ok("admin".into()));
    listener.close().await;
}
