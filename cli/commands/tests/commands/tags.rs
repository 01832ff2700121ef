//! `add-tags`, `remove-tags`, `list-tags` of every noun.

use gantry_model::opcodes::{OpCode, TagsSet};
use gantry_model::tags::TagObject;

use crate::harness::Session;

// covers: C20 C82 C121 S202
#[tokio::test(start_paused = true)]
async fn listed() {
    let lines = [
        "gnt-cluster list-tags",
        "gnt-node list-tags node1.example",
        "gnt-instance list-tags web1",
        "gnt-instance list-tags --json web1",
        "gnt-instance list-tags wbe1",
        "gnt-node list-tags",
    ];
    Session::new().check("tags-list", &lines).await;
}

// covers: C23
#[tokio::test(start_paused = true)]
async fn searched() {
    let lines = [
        "gnt-cluster search-tags :",
        "gnt-cluster search-tags ^owner:",
        "gnt-cluster search-tags --json owner",
        "gnt-cluster search-tags nothing",
        "gnt-cluster search-tags '('",
        "gnt-cluster search-tags",
        "gnt-cluster search-tags a b",
    ];
    Session::new().check("tags-search", &lines).await;
}

// covers: C21 C22 C83 C84 C122 C123 S199 S201 C213
#[tokio::test(start_paused = true)]
async fn added_and_removed() {
    let lines = [
        "gnt-instance add-tags web1 owner:user2 web",
        "gnt-cluster add-tags a",
        "gnt-node add-tags --submit node1 a",
        "gnt-node remove-tags node1 a",
        "gnt-cluster remove-tags a",
        "gnt-instance add-tags web1",
        "gnt-instance remove-tags web1",
        "gnt-cluster add-tags",
        "gnt-instance add-tags web1 'a b'",
        "gnt-instance add-tags web1 --from /nonexistent/tags",
    ];
    Session::new().check("tags-change", &lines).await;
}

fn added(session: &Session) -> TagsSet {
    match session.cluster.submitted().pop().map(|request| request.op) {
        Some(OpCode::TagsSet(op)) => op,
        other => panic!("{other:?}"),
    }
}

// covers: S200
#[tokio::test(start_paused = true)]
async fn more_come_from_standard_input() {
    let session = Session { stdin: b" x:1 \ny\n".to_vec(), ..Session::new() };
    let ran = session.run("gnt-cluster add-tags --from - first").await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    let op = added(&session);
    assert_eq!(
        (op.object, op.tags),
        (TagObject::Cluster, ["first", "x:1", "y"].map(Into::into).into())
    );
}

// covers: S200
#[tokio::test(start_paused = true)]
async fn more_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "x\ny\n").expect("written");
    let session = Session::new();
    let line = format!("gnt-instance add-tags web1 --from {}", file.path().display());
    let ran = session.run(&line).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    assert_eq!(added(&session).tags, ["x", "y"]);
}
