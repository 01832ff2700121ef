//! Opcodes from files.

use crate::harness::Session;

// covers: C34 O90 O93 O95 O96
#[tokio::test(start_paused = true)]
async fn opcodes_from_files_become_jobs() {
    let session = Session::new();
    let lines = [
        "gnt-debug submit-job tests/opcodes/good.json",
        "gnt-debug submit-job -v --each --timing-stats --op-repeat 2 --job-repeat 2 \
         tests/opcodes/good.json",
        "gnt-debug submit-job -d --dry-run --priority high --reason why tests/opcodes/good.json",
        "gnt-debug submit-job tests/opcodes/fails.json",
    ];
    session.check("submit-job", &lines).await;
    let submitted = session.cluster.submitted();
    let common = |nth: usize| &submitted[nth].common;
    assert_eq!((common(0).priority, common(0).comment.as_deref()), (10, Some("by hand")));
    let trail = |nth: usize| {
        let texts = common(nth).reason.iter().map(|reason| reason.text.as_str());
        texts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(trail(0), "test submit-job");
    let dry = common(3);
    assert_eq!((dry.dry_run, dry.priority, trail(3)), (true, -10, "test why submit-job".into()));
    assert_eq!((common(0).debug_level, dry.debug_level), (0, 1));
}

// covers: C34 O90 O91 O92 O93 O94
#[tokio::test(start_paused = true)]
async fn files_that_are_no_opcodes() {
    let session = Session::new();
    let files = [
        "nosuch",
        "no-list",
        "no-json",
        "unknown",
        "unknown-field",
        "wrong-type",
        "missing",
        "priority",
        "depends",
    ];
    // What could be read is not submitted either.
    let line =
        |name| format!("gnt-debug submit-job tests/opcodes/good.json tests/opcodes/{name}.json");
    let mut lines: Vec<String> = files.into_iter().map(line).collect();
    lines.push("gnt-debug submit-job".to_owned());
    lines.push("gnt-debug submit-job --op-repeat 0 tests/opcodes/good.json".to_owned());
    lines.push("gnt-debug submit-job --job-repeat x tests/opcodes/good.json".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    session.check("refused-opcode-files", &lines).await;
    assert!(session.cluster.submitted().is_empty());
}
