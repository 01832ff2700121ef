//! What the shells offer at Tab, in the shells themselves, against a daemon.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::rig::{Cluster, GANTRY, Program, path, say, skipped};

/// What is typed, and what may come next. The lists are sorted by each shell in its own way.
const EXPECTED: &[(&str, &[&str])] = &[
    ("gantry inst", &["install-links", "install-man", "install-units", "instance"]),
    ("gnt-instance start", &["startup"]),
    ("gnt-instance startup w", &["web1", "web2"]),
    ("gantry instance startup web1 w", &["web1", "web2"]),
    ("gnt-instance startup --prio", &["--priority"]),
    ("gnt-instance startup --priority ", &["high", "low", "normal"]),
    ("gnt-instance add -n node", &["node1.t"]),
    ("gnt-instance list -o name,disk_t", &["name,disk_template"]),
    ("gnt-job info 1", &["1"]),
];

/// How often one completion is timed.
const N_TIMED: usize = 11;

/// How long a script may take. Three shells and a debug build run beside other tests; lower fails
/// on a busy machine, higher hides one that hangs.
const SHELL_WAIT: Duration = Duration::from_secs(90);

/// A cluster with two instances, and a directory with the names of the program in it.
fn cluster() -> (Cluster, String) {
    let cluster = Cluster::of_one();
    for name in ["web1", "web2"] {
        cluster.gantry(&Cluster::fake_words(name)).success();
    }
    let bin = cluster.place.join("bin");
    std::fs::create_dir(&bin).expect("our directory");
    for name in ["gantry", "gnt-instance", "gnt-job"] {
        symlink(GANTRY, bin.join(name)).expect("our directory");
    }
    let search = format!("{}:/usr/bin:/bin", path(&bin));
    (cluster, search)
}

/// Whether what was answered is what was expected, whatever the order.
fn check(shell: &str, answered: &str) {
    let mut lines = answered.lines();
    for (line, expected) in EXPECTED {
        let answer = lines.next().and_then(|answer| answer.strip_prefix(line)?.strip_prefix('>'));
        let answer = answer.unwrap_or_else(|| panic!("{shell} says nothing of {line}: {answered}"));
        let mut found: Vec<&str> = answer.split_whitespace().collect();
        found.sort_unstable();
        assert_eq!(&found, expected, "{shell}: {line}");
    }
}

/// Runs a script of ours in a shell, beside a cluster with two instances; what it printed.
fn in_shell(shell: &str, script: &str, before: &[&str], after: &[&str]) -> Option<String> {
    let program = format!("/usr/bin/{shell}");
    if !Path::new(&program).exists() {
        skipped(&format!("{program} is missing, install the Debian package {shell}"));
        return None;
    }
    let (cluster, search) = cluster();
    let file = cluster.place.join(script);
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/shells");
    std::fs::copy(Path::new(scripts).join(script), &file).expect("our script");
    let mut words: Vec<OsString> = vec![program.into()];
    words.extend(before.iter().map(OsString::from));
    words.push(file.into());
    words.extend(after.iter().map(OsString::from));
    let env = [
        ("GANTRY_STATE_DIR", path(&cluster.node(1).state_dir).to_owned()),
        ("HOME", path(cluster.place.path()).to_owned()),
        ("TERM", "dumb".to_owned()),
        ("PATH", search),
    ];
    let ran = Program::start(&cluster.place, &words, &env, None).finish(SHELL_WAIT);
    Some(ran.success().to_owned())
}

fn ask(shell: &str, script: &str, before: &[&str]) {
    let lines: Vec<&str> = EXPECTED.iter().map(|(line, _)| *line).collect();
    if let Some(answered) = in_shell(shell, script, before, &lines) {
        check(shell, &answered);
    }
}

// covers: C217
#[test]
fn bash_offers_what_may_come_next() {
    ask("bash", "ask.bash", &["--norc"]);
}

// covers: C217
#[test]
fn fish_offers_what_may_come_next() {
    ask("fish", "ask.fish", &["--no-config"]);
}

// covers: C217
#[test]
fn zsh_offers_what_may_come_next() {
    ask("zsh", "ask.zsh", &["-f"]);
}

/// Said, not bounded: other tests run beside it, and the build is not the one that people have. The
/// budget of a release build alone on a machine is 50 ms.
#[test]
fn how_long_one_completion_takes_is_said() {
    let n_timed = N_TIMED.to_string();
    let times = in_shell("bash", "time.bash", &["--norc"], &[&n_timed]).expect("bash is there");
    let mut took: Vec<u64> = times.lines().map(|line| line.parse().expect("a time")).collect();
    assert_eq!(took.len(), N_TIMED);
    took.sort_unstable();
    say(&format!(
        "one completion: median {} us, longest {} us",
        took[N_TIMED / 2],
        took[N_TIMED - 1]
    ));
}
