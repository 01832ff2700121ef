//! Whatever a QEMU gone mad says: nothing panics, and every line is an object or an end.

use super::*;

/// The lines in bytes that come in these pieces, and whether something was no line.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Value>, bool) {
    let mut lines = Lines::default();
    let mut came = Vec::new();
    for piece in pieces {
        lines.received.extend_from_slice(piece);
        loop {
            match lines.take() {
                Ok(Some(line)) => came.push(line),
                Ok(None) => break,
                Err(_) => return (came, true),
            }
        }
    }
    (came, false)
}

/// A first byte that says how long the pieces are, then what QEMU says.
#[test]
fn any_bytes_are_the_same_lines_in_any_pieces() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Some((cut, said)) = bytes.split_first() else { return };
        let whole = read(std::iter::once(said));
        assert_eq!(whole, read(said.chunks(usize::from(*cut) + 1)));
        assert!(whole.0.iter().all(Value::is_object));
    });
}

/// What a connection makes of a line, with one request waiting.
#[test]
fn any_line_is_an_event_an_answer_or_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(line @ Value::Object(_)) = serde_json::from_slice::<Value>(bytes) else { return };
        runtime.block_on(async {
            let (socket, _other_end) = UnixStream::pair().expect("a pair of sockets");
            let (_requests, requests) = mpsc::channel(1);
            let (events, mut heard) = mpsc::channel(1);
            let (answer, mut answered) = oneshot::channel();
            let pending = BTreeMap::from([(1, answer)]);
            let wire = Wire::new(socket);
            let mut task = Task { wire, requests, events, pending, next_id: 2 };
            let taken = task.take(line.clone()).await;
            let (event, answer) = (heard.try_recv().is_ok(), answered.try_recv().is_ok());
            assert!(!(event && answer), "both: {line}");
            assert!(!answer || line["id"] == 1, "an answer to another request: {line}");
            assert!(taken.is_ok() || line.get("error").is_some(), "ended by {line}");
        });
    });
}
