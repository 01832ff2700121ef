//! Commands without a noun, and what all commands have.

use std::io;

use crate::harness::{Session, compare};

#[tokio::test(start_paused = true)]
async fn machine_commands() {
    let mut session = Session::new();
    session.env.insert("GANTRY_STATE_DIR".to_owned(), "/srv/state".to_owned());
    let lines = [
        "gantry join --address n2:1811 gantry-join-1.00",
        "gantry join --address n2 gantry-join-1.00",
        "gantry demo",
        "gantry daemon --listen 127.0.0.1:5000 -d",
    ];
    session.check("top", &lines).await;
    let asked = session.machine.asked.lock().expect("not poisoned").join("\n");
    compare("top-args", &format!("{asked}\n"));
}

#[tokio::test(start_paused = true)]
async fn the_option_wins_over_the_environment_and_that_over_the_default() {
    let mut session = Session::new();
    let state_dir = |session: &Session| {
        let asked = session.machine.last();
        let line = asked.lines().find(|line| line.contains("state_dir")).unwrap_or_default();
        line.trim().to_owned()
    };
    let _ran = session.run("gantry daemon").await;
    assert_eq!(state_dir(&session), "state_dir: \"/var/lib/gantry\",");
    session.env.insert("GANTRY_STATE_DIR".to_owned(), "/srv/env".to_owned());
    let _ran = session.run("gantry daemon").await;
    assert_eq!(state_dir(&session), "state_dir: \"/srv/env\",");
    let _ran = session.run("gantry daemon --state-dir /srv/option").await;
    assert_eq!(state_dir(&session), "state_dir: \"/srv/option\",");
}

// covers: C200 C213
#[tokio::test(start_paused = true)]
async fn without_a_cluster_or_a_daemon() {
    let lines = [
        "gnt-instance list --state-dir /nowhere",
        "gnt-instance list --state-dir /silent",
        "gnt-instance list --state-dir /closed",
        "gnt-instance list --endpoint 192.0.2.9:1811",
        "gnt-instance list --state-dir /nowhere --json",
    ];
    Session::new().check("unreachable", &lines).await;
}

#[tokio::test(start_paused = true)]
async fn links_lead_to_the_program_and_nothing_else_is_touched() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let line = format!("gantry install-links {}", dir.path().display());
    let session = Session::new();
    for _ in 0..2 {
        let ran = session.run(&line).await;
        assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    }
    let link = dir.path().join("gnt-instance");
    let target = std::fs::read_link(&link).expect("a link");
    assert_eq!(target, std::path::Path::new("/usr/bin/gantry"));
    std::fs::remove_file(&link).expect("removed");
    std::fs::write(&link, "somebody's own").expect("written");
    let ran = session.run(&line).await;
    assert_eq!(ran.code.0, 1);
    assert!(ran.stderr.contains("gnt-instance exists"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&link).expect("a file"), "somebody's own");
}

// covers: C217
#[tokio::test(start_paused = true)]
async fn a_script_for_each_shell_is_for_all_names_or_for_one() {
    let session = Session::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = session.run(&format!("gantry completion {shell}")).await;
        assert_eq!(ran.code.0, 0, "{}", ran.stderr);
        for name in ["gantry", "gnt-cluster", "gnt-job"] {
            assert!(ran.stdout.contains(name), "{shell}: {}", ran.stdout);
        }
        let ran = session.run(&format!("gantry completion {shell} --program gnt-instance")).await;
        assert!(ran.stdout.contains("gnt-instance") && !ran.stdout.contains("gnt-job"), "{shell}");
    }
}

// covers: C217
#[tokio::test(start_paused = true)]
async fn completion_knows_the_names_of_the_moment() {
    let lines = [
        "gantry complete -- gnt-instance st",
        "gantry complete -- gnt-instance startup w",
        "gantry complete -- gnt-node info node2",
        "gantry complete -- gantry job watch ''",
        "gantry complete -- gnt-instance startup --priority ''",
        "gantry complete -- gnt-instance list --output = n",
        "gantry complete -- gnt-instance list --output=na",
        "gantry complete --state-dir /nowhere -- gnt-instance startup w",
    ];
    Session::new().check("complete", &lines).await;
}

/// A reader that has gone away.
struct ClosedPipe;

impl io::Write for ClosedPipe {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// covers: C224
#[tokio::test(start_paused = true)]
async fn a_closed_pipe_ends_a_command_silently() {
    for line in ["gnt-instance list", "gnt-instance list --json", "gnt-instance --help"] {
        let ran = Session::new().run_with(line, Box::new(ClosedPipe)).await;
        assert_eq!((ran.code.0, ran.stderr.as_str()), (1, ""), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_doctor_says_each_check_and_what_to_do() {
    let lines = [
        "gantry doctor --state-dir /srv/state",
        "gantry doctor --quiet --state-dir /srv/state",
        "gantry doctor --state-dir /srv/broken",
        "gantry doctor --state-dir /srv/broken --json",
    ];
    Session::new().check("doctor", &lines).await;
}

#[tokio::test(start_paused = true)]
async fn every_command_of_every_name_has_a_page_of_the_manual() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let session = Session::new();
    let ran = session.run(&format!("gantry install-man {}", dir.path().display())).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    for page in ["gantry", "gantry-instance-add", "gantry-doctor", "gnt-cluster", "gnt-node-list"] {
        let text = std::fs::read_to_string(dir.path().join(format!("man8/{page}.8")));
        let text = text.unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".SH SYNOPSIS") && text.contains(".TH"), "{page}: {text}");
    }
    let add = std::fs::read_to_string(dir.path().join("man8/gnt-instance-add.8")).expect("there");
    assert!(add.contains("Example: gantry instance add"), "{add}");
    let again = session.run(&format!("gantry install-man {}", dir.path().display())).await;
    assert_eq!((again.code.0, again.stdout), (0, ran.stdout));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_somebody_has_changed_is_left_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let session = Session::new();
    let line = format!("gantry install-units {} --state-dir /srv/my state", dir.path().display());
    let line = line.replace("/srv/my state", "/srv/state");
    for _ in 0..2 {
        let ran = session.run(&line).await;
        assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    }
    let path = dir.path().join("gantry.service");
    let unit = std::fs::read_to_string(&path).expect("written");
    assert!(unit.contains("ExecStart=/usr/bin/gantry daemon --state-dir /srv/state\n"), "{unit}");
    std::fs::write(&path, "somebody's own").expect("written");
    let refused = session.run(&line).await;
    assert_eq!(refused.code.0, 1);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "somebody's own");
    let ran = session.run(&format!("{line} --force")).await;
    assert_eq!(ran.code.0, 0, "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), unit);
}

#[tokio::test(start_paused = true)]
async fn the_unit_as_it_is_printed() {
    Session::new().check("install-units", &["gantry install-units --print"]).await;
}

// covers: C223
#[tokio::test(start_paused = true)]
async fn commands_and_their_ends_are_logged_and_questions_of_the_shell_are_not() {
    let session = Session::new();
    let _ran = session.run("gnt-instance list -o name").await;
    let _ran = session.run("gantry doctor").await;
    let _ran = session.run("gnt-instance info nosuch").await;
    let _ran = session.run("gantry complete -- gnt-instance list").await;
    let logged = session.machine.logged.lock().expect("not poisoned").clone();
    let mut lines = Vec::new();
    for line in logged.lines() {
        lines.push(match line.split_once(", trace ") {
            Some((before, trace)) => {
                let _is_an_id: uuid::Uuid = trace.parse().expect("a trace");
                format!("{before}, with a trace")
            }
            None => line.to_owned(),
        });
    }
    let of =
        |command: &str, text: &str| format!("2026-11-22 08:00:00,000: {command} pid=4711 {text}");
    let expected = [
        of("gnt-instance list", "INFO Command line: gnt-instance list -o name"),
        of("gnt-instance list", "INFO Exit code 0, with a trace"),
        of("gantry doctor", "INFO Command line: gantry doctor"),
        of("gantry doctor", "INFO Exit code 0"),
        of("gnt-instance info", "INFO Command line: gnt-instance info nosuch"),
        of("gnt-instance info", "ERROR Exit code 1, with a trace"),
    ];
    assert_eq!(lines, expected);
}
