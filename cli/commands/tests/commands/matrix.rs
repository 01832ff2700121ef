//! Every command against every kind of trouble that any of them can have. One file per trouble: a
//! command that is added appears in all of them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt as _;

use clap::Command;
use gantry_commands::{Program, command_of};

use crate::fake_cluster::Trouble;
use crate::harness::{Ran, Session, compare};

/// Each command of a noun, with arguments that nothing is wrong with.
pub(crate) const LINES: &[&str] = &[
    "gnt-cluster info",
    "gnt-cluster getmaster",
    "gnt-cluster master-failover --to node2.example",
    "gnt-cluster master-ping",
    "gnt-cluster modify -C 3",
    "gnt-cluster issue-certificate --role reader --out {dir} monitoring",
    "gnt-cluster version",
    "gnt-cluster destroy --yes-do-it",
    "gnt-cluster renew-crypto --new-node-certificates -f",
    "gnt-cluster add-tags a",
    "gnt-cluster remove-tags a",
    "gnt-cluster list-tags",
    "gnt-cluster search-tags :",
    "gnt-node add node3.example",
    "gnt-node list",
    "gnt-node list-fields",
    "gnt-node info",
    "gnt-node modify -D yes node2.example",
    "gnt-node remove node2.example",
    "gnt-node add-tags node1.example a",
    "gnt-node remove-tags node1.example a",
    "gnt-node list-tags node1.example",
    "gnt-instance add -t diskless -o noop --no-install -n node1.example web3",
    "gnt-instance list",
    "gnt-instance list-fields",
    "gnt-instance info web1",
    "gnt-instance startup web1",
    "gnt-instance shutdown web1",
    "gnt-instance reboot web1",
    "gnt-instance reinstall -f web1",
    "gnt-instance remove -f web1",
    "gnt-instance console web2",
    "gnt-instance add-tags web1 a",
    "gnt-instance remove-tags web1 a",
    "gnt-instance list-tags web1",
    "gnt-job list",
    "gnt-job list-fields",
    "gnt-job archive 7",
    "gnt-job autoarchive all",
    "gnt-job info 7",
    "gnt-job watch 7",
    "gnt-job wait 7",
    "gnt-job cancel 14",
    "gnt-job change-priority --priority low 14",
    "gnt-debug delay 0.1",
    "gnt-debug submit-job tests/opcodes/good.json",
    "gnt-debug locks",
    "gnt-debug actors",
    "gnt-debug flight",
    "gnt-debug links",
];

/// What talks to this machine only, before there is a cluster.
pub(crate) const WITHOUT_A_CLUSTER: &[&str] = &["gnt-cluster init c.example"];

/// What says nothing, whatever is wrong: its exit code is 1, as Ganeti's.
const QUIET: &str = "gnt-cluster master-ping";

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

/// Runs the words with `{dir}` for a directory that may be made, and goes again.
async fn run_in_dir(session: &Session, words: Vec<OsString>) -> Ran {
    let above = tempfile::tempdir().expect("a directory");
    let dir = above.path().join("dir").display().to_string();
    let with_dir = |word: OsString| if word == "{dir}" { dir.clone().into() } else { word };
    let mut ran = session.run_args(words.into_iter().map(with_dir).collect()).await;
    for said in [&mut ran.stdout, &mut ran.stderr] {
        *said = said.replace(&dir, "{dir}");
    }
    ran
}

fn shown(text: &mut String, line: &str, ran: &Ran) {
    write!(text, "$ {line}\n{}", ran.stdout).expect("a string");
    if !ran.stderr.is_empty() {
        writeln!(text, "--- stderr\n{}", ran.stderr.trim_end()).expect("a string");
    }
    writeln!(text, "--- exit {}\n", ran.code.0).expect("a string");
}

fn failed_with(line: &str, ran: &Ran, codes: &[u8]) {
    if line.starts_with(QUIET) && ran.code.0 != 2 {
        assert_eq!((ran.code.0, ran.stderr.as_str()), (1, ""), "{line}");
        return;
    }
    assert!(codes.contains(&ran.code.0), "{line}: {} {}", ran.code.0, ran.stderr);
    assert!(!ran.stderr.is_empty(), "{line} does not say why");
}

/// Runs each line with something in addition; each must fail with one of these codes.
async fn each(name: &str, lines: &[&str], more: &str, codes: &[u8]) {
    let mut text = String::new();
    for line in lines {
        let line = format!("{line}{more}");
        let session = Session::new();
        let ran = run_in_dir(&session, words(&line)).await;
        failed_with(&line, &ran, codes);
        assert!(session.cluster.submitted().is_empty(), "{line}");
        shown(&mut text, &line, &ran);
    }
    compare(name, &text);
}

async fn each_in(trouble: Trouble, name: &str, codes: &[u8]) {
    let mut text = String::new();
    for line in LINES {
        let session = Session::new();
        session.cluster.trouble(trouble);
        let ran = run_in_dir(&session, words(line)).await;
        failed_with(line, &ran, codes);
        assert!(ran.stderr.lines().count() <= 8, "{line} says too much: {}", ran.stderr);
        shown(&mut text, line, &ran);
    }
    compare(name, &text);
}

/// Otherwise a command could be added that no trouble meets.
#[test]
fn every_command_of_every_noun_is_here() {
    let known: Vec<String> =
        LINES.iter().chain(WITHOUT_A_CLUSTER).map(|line| first_two(line)).collect();
    let nouns = [Program::Cluster, Program::Node, Program::Instance, Program::Job, Program::Debug];
    for program in nouns {
        let command = command_of(program);
        let verbs = command.get_subcommands().map(Command::get_name);
        for verb in verbs.filter(|verb| *verb != "help") {
            let words = format!("{} {verb}", program.name());
            assert!(known.contains(&words), "{words}");
        }
    }
}

fn first_two(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Without it the other tests could hold because nothing works anyway.
#[tokio::test(start_paused = true)]
async fn nothing_is_wrong_with_any_line() {
    for line in LINES {
        let ran = run_in_dir(&Session::new(), words(line)).await;
        // The script of the cluster lets some jobs fail, web2 does not run, and the directory of
        // the certificate is none.
        let fails = [
            "gnt-instance reboot",
            "gnt-cluster issue",
            "gnt-node remove ",
            "gnt-instance console",
        ];
        let expected = u8::from(fails.iter().any(|words| line.starts_with(words)));
        assert_eq!(ran.code.0, expected, "{line}: {}", ran.stderr);
    }
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn an_option_that_nobody_knows() {
    let all = [LINES, WITHOUT_A_CLUSTER].concat();
    each("matrix-unknown-option", &all, " --colour", &[2]).await;
}

// covers: C200 C213
#[tokio::test(start_paused = true)]
async fn no_cluster_here() {
    each("matrix-no-cluster", LINES, " --state-dir /nowhere", &[5]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn no_daemon() {
    each("matrix-no-daemon", LINES, " --state-dir /silent", &[1]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn a_daemon_that_talks_to_others_only() {
    each("matrix-closed", LINES, " --state-dir /closed", &[1]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn a_cluster_of_another_version() {
    each_in(Trouble::OtherVersion, "matrix-other-version", &[1]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn no_master() {
    each_in(Trouble::NoMaster, "matrix-no-master", &[11]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn a_reader_who_may_not() {
    each_in(Trouble::Forbidden, "matrix-forbidden", &[1]).await;
}

// covers: C213
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost() {
    each_in(Trouble::Lost, "matrix-lost", &[1]).await;
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn one_argument_too_many_or_what_is_no_text() {
    let mut text = String::new();
    for line in [LINES, WITHOUT_A_CLUSTER].concat() {
        let session = Session::new();
        let mut args = words(line);
        args.push(OsString::from_vec(b"x\xff".to_vec()));
        let ran = run_in_dir(&session, args).await;
        // What is one too many is not read; a file may have any name.
        let said = match ran.code.0 {
            1 if line.contains("submit-job") => "cannot read",
            1 => "expects",
            _ => "is not text in UTF-8",
        };
        assert!([1, 2].contains(&ran.code.0), "{line}: {}", ran.code.0);
        assert!(ran.stderr.contains(said), "{line}: {}", ran.stderr);
        assert!(session.cluster.submitted().is_empty(), "{line}");
        let more = ["".to_owned(), "..".to_owned(), "x".repeat(300)];
        let args = words(line).into_iter().chain(more.map(OsString::from)).collect();
        let ran = run_in_dir(&session, args).await;
        assert_ne!(ran.code.0, 70, "{line}: {}", ran.stderr);
        shown(&mut text, &format!("{line} '' .. x{{300}}"), &ran);
    }
    compare("matrix-odd-arguments", &text.replace(&"x".repeat(300), "x{300}"));
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn a_document_says_what_failed() {
    // A console is no document.
    let has_document = |line: &str| line != QUIET && !line.contains("console");
    for line in LINES.iter().filter(|line| has_document(line)) {
        let ran = Session::new().run(&format!("{line} --json --state-dir /silent")).await;
        let document: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(document["error"]["exit_code"], 1, "{line}: {document}");
        let first = &document["error"]["text"][0];
        assert_eq!(first, "Cannot communicate with the master daemon.", "{line}");
    }
}
