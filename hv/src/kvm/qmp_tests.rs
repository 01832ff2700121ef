//! The client against servers that speak the protocol well, badly, or not at all.

use super::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixListener;

const TIMEOUT: Duration = Duration::from_secs(5);
const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"major": 99}}, "capabilities": ["new"]}}"#;

struct Server {
    _dir: tempfile::TempDir,
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("qmp");
        let listener = UnixListener::bind(&path).expect("binds");
        Self { _dir: dir, path, listener }
    }

    /// Accepts one client, greets it and confirms its command mode.
    async fn greet(&self) -> BufReader<UnixStream> {
        let (socket, _) = self.listener.accept().await.expect("accepts");
        let mut socket = BufReader::new(socket);
        say(&mut socket, GREETING).await;
        let hello = hear(&mut socket).await;
        assert_eq!(hello["execute"], "qmp_capabilities");
        say(&mut socket, &format!(r#"{{"return": {{}}, "id": {}}}"#, hello["id"])).await;
        socket
    }

    async fn connected(&self) -> (QmpClient, mpsc::Receiver<QmpEvent>, BufReader<UnixStream>) {
        let (client, server) = tokio::join!(QmpClient::connect(&self.path, TIMEOUT), self.greet());
        let (client, events) = client.expect("connects");
        (client, events, server)
    }
}

async fn say(socket: &mut BufReader<UnixStream>, line: &str) {
    socket.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.expect("writes");
}

async fn hear(socket: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    socket.read_line(&mut line).await.expect("reads");
    serde_json::from_str(&line).expect("our own lines are json")
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let server = Server::new();
    let (client, _events, mut socket) = server.connected().await;
    let (one, two, ()) = tokio::join!(
        client.execute("one", Some(json!({"a": 1})), TIMEOUT),
        client.execute("two", None, TIMEOUT),
        async {
            let (first, second) = (hear(&mut socket).await, hear(&mut socket).await);
            assert_eq!((&first["execute"], &first["arguments"]["a"]), (&json!("one"), &json!(1)));
            for request in [second, first] {
                let name = request["execute"].clone();
                let id = &request["id"];
                say(&mut socket, &json!({"return": name, "id": id, "new": []}).to_string()).await;
            }
        }
    );
    assert_eq!((one, two), (Ok(json!("one")), Ok(json!("two"))));
}

#[tokio::test]
async fn events_between_answers_and_things_unknown_pass() {
    let server = Server::new();
    let (client, mut events, mut socket) = server.connected().await;
    let (answer, ()) = tokio::join!(client.execute("stop", None, TIMEOUT), async {
        let request = hear(&mut socket).await;
        say(&mut socket, r#"{"event": "SHUTDOWN", "data": {"guest": true}, "x": 1}"#).await;
        say(&mut socket, r#"{"telemetry": 5}"#).await;
        say(&mut socket, "").await;
        say(&mut socket, &json!({"return": {}, "id": request["id"]}).to_string()).await;
    });
    answer.expect("answered");
    let event = events.recv().await.expect("event");
    assert!(event.name == "SHUTDOWN" && event.flag("guest") && !event.flag("host"));
}

#[tokio::test]
async fn a_refusal_says_what_qemu_says() {
    let server = Server::new();
    let (client, _events, mut socket) = server.connected().await;
    let (answer, ()) = tokio::join!(client.execute("nope", None, TIMEOUT), async {
        let id = hear(&mut socket).await["id"].clone();
        let error = json!({"class": "CommandNotFound", "desc": "no nope"});
        say(&mut socket, &json!({"error": error, "id": id}).to_string()).await;
    });
    let text = answer.expect_err("refused").to_string();
    assert_eq!(text, "qemu says CommandNotFound: no nope");
}

#[tokio::test]
async fn garbage_ends_the_connection_with_its_reason_for_all() {
    let server = Server::new();
    let (client, _events, mut socket) = server.connected().await;
    let (one, two, ()) = tokio::join!(
        client.execute("one", None, TIMEOUT),
        client.execute("two", None, TIMEOUT),
        async {
            hear(&mut socket).await;
            hear(&mut socket).await;
            say(&mut socket, "\u{1}\u{2}{{{").await;
        }
    );
    for answer in [one, two, client.execute("later", None, TIMEOUT).await] {
        assert!(matches!(answer, Err(QmpError::Garbage { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_refused_at_its_limit() {
    let server = Server::new();
    let (client, _events, mut socket) = server.connected().await;
    let endless = vec![b'x'; LINE_BYTES_MAX + READ_BYTES + 1];
    let (answer, _cut) =
        tokio::join!(client.execute("one", None, TIMEOUT), socket.get_mut().write_all(&endless));
    assert!(matches!(answer, Err(QmpError::Garbage { .. })), "{answer:?}");
}

#[tokio::test]
async fn another_protocol_is_noticed_at_the_greeting() {
    let server = Server::new();
    let (result, ()) = tokio::join!(QmpClient::connect(&server.path, TIMEOUT), async {
        let (socket, _) = server.listener.accept().await.expect("accepts");
        say(&mut BufReader::new(socket), r#"{"hello": 1}"#).await;
    });
    assert!(matches!(result.err(), Some(QmpError::Garbage { .. })));
}

#[tokio::test]
async fn silence_is_an_error_in_time() {
    let server = Server::new();
    let short = Duration::from_millis(20);
    let error = QmpClient::connect(&server.path, short).await.expect_err("nobody greets");
    assert!(matches!(error, QmpError::TimedOut { .. }), "{error}");
    let (client, _events, _socket) = server.connected_after_silence().await;
    let answer = client.execute("one", None, short).await;
    assert!(matches!(answer, Err(QmpError::TimedOut { .. })), "{answer:?}");
}

impl Server {
    /// As `connected`, past the client that gave up and still is in the queue.
    async fn connected_after_silence(
        &self,
    ) -> (QmpClient, mpsc::Receiver<QmpEvent>, BufReader<UnixStream>) {
        let _gave_up = self.listener.accept().await.expect("accepts");
        self.connected().await
    }
}

#[tokio::test]
async fn the_end_of_qemu_reaches_requests_and_events() {
    let server = Server::new();
    let (client, mut events, socket) = server.connected().await;
    drop(socket);
    assert_eq!(events.recv().await, None);
    let answer = client.execute("one", None, TIMEOUT).await;
    assert!(matches!(answer, Err(QmpError::Closed { .. })), "{answer:?}");
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_give_lines_or_an_error_never_a_panic(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("runtime").block_on(async {
                let (ours, mut theirs) = UnixStream::pair().expect("pair");
                let mut wire = Wire::new(ours);
                for piece in &pieces {
                    theirs.write_all(piece).await.expect("fits the buffer");
                }
                drop(theirs);
                while wire.next().await.is_ok() {}
            });
        }
    }
}
