//! Help: every command has it, in one form.

use std::fmt::Write as _;

use gantry_commands::{LINKS, Program, command_of};
use gantry_model::opcodes::OpCode;

use crate::harness::{Session, compare};

/// Every command of a program, with the words that lead to it.
fn all_commands(command: &clap::Command, path: &[String]) -> Vec<(Vec<String>, clap::Command)> {
    let mut all = vec![(path.to_vec(), command.clone())];
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let mut path = path.to_vec();
        path.push(inner.get_name().to_owned());
        all.extend(all_commands(inner, &path));
    }
    all
}

fn leaves() -> Vec<(Vec<String>, clap::Command)> {
    let program = command_of(Program::Gantry);
    let all = all_commands(&program, &[]);
    all.into_iter().filter(|(_, command)| !command.has_subcommands()).collect()
}

// covers: S1
#[test]
fn every_command_says_what_it_does_in_the_imperative_without_a_full_stop() {
    for (path, command) in all_commands(&command_of(Program::Gantry), &[]) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let first = about.split(' ').next().unwrap_or_default();
        assert!(first.starts_with(char::is_uppercase), "{path:?}: {about:?}");
        assert!(!first.ends_with('s'), "{path:?}: not an imperative: {about:?}");
        assert!(!about.ends_with('.'), "{path:?}: {about:?}");
    }
}

#[test]
fn every_command_has_an_example_that_can_be_read() {
    for (path, command) in leaves() {
        let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let example = long.lines().rev().find_map(|line| line.strip_prefix("Example: "));
        let example = example.unwrap_or_else(|| panic!("{path:?} has no example: {long}"));
        let words: Vec<&str> = example.split(' ').take_while(|word| *word != ">").collect();
        let read = command_of(Program::Gantry).try_get_matches_from(&words);
        assert!(read.is_ok(), "{example}: {}", read.expect_err("checked"));
        assert!(words[1..].starts_with(&path.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}

#[test]
fn every_option_has_a_help_text_without_a_full_stop() {
    for (path, command) in leaves() {
        for option in command.get_arguments() {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            let id = option.get_id();
            assert!(!help.is_empty(), "{path:?} {id}");
            assert!(!help.ends_with('.'), "{path:?} {id}: {help:?}");
        }
    }
}

#[test]
fn every_link_has_the_commands_of_its_noun() {
    let gantry = command_of(Program::Gantry);
    for link in LINKS {
        let noun = link.name().trim_start_matches("gnt-");
        let of_noun = gantry.find_subcommand(noun).expect("a noun");
        let names = |command: &clap::Command| {
            command.get_subcommands().map(|c| c.get_name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&command_of(link)), names(of_noun), "{noun}");
    }
}

/// The command that leads to an opcode. Another opcode must be given one here.
fn command_for(op_id: &str) -> &'static [&'static str] {
    match op_id {
        "OP_CLUSTER_DESTROY" => &["cluster", "destroy"],
        "OP_CLUSTER_RENEW_CRYPTO" => &["cluster", "renew-crypto"],
        // Submitted by the cluster when the node shows the token of this command.
        "OP_NODE_ADD" => &["node", "add"],
        "OP_CLUSTER_SET_PARAMS" => &["cluster", "modify"],
        "OP_NODE_SET_PARAMS" => &["node", "modify"],
        "OP_NODE_REMOVE" => &["node", "remove"],
        "OP_INSTANCE_CREATE" => &["instance", "add"],
        "OP_INSTANCE_REMOVE" => &["instance", "remove"],
        "OP_INSTANCE_STARTUP" => &["instance", "startup"],
        "OP_INSTANCE_SHUTDOWN" => &["instance", "shutdown"],
        "OP_INSTANCE_REBOOT" => &["instance", "reboot"],
        "OP_INSTANCE_REINSTALL" => &["instance", "reinstall"],
        "OP_TAGS_SET" => &["instance", "add-tags"],
        "OP_TAGS_DEL" => &["instance", "remove-tags"],
        "OP_TEST_DELAY" => &["debug", "delay"],
        other => panic!("{other} has no command"),
    }
}

#[test]
fn every_opcode_has_a_command() {
    let gantry = command_of(Program::Gantry);
    for (op_id, _) in OpCode::ALL {
        let found = command_for(op_id)
            .iter()
            .try_fold(&gantry, |command, word| command.find_subcommand(word));
        assert!(found.is_some(), "{op_id}");
    }
}

// covers: S1
#[tokio::test(start_paused = true)]
async fn help_of_every_command() {
    let session = Session::new();
    let mut text = String::new();
    for (path, _) in all_commands(&command_of(Program::Gantry), &[]) {
        let line =
            format!("gantry {}--help", path.iter().map(|w| format!("{w} ")).collect::<String>());
        let ran = session.run(&line).await;
        assert_eq!((ran.code.0, ran.stderr.as_str()), (0, ""), "{line}");
        writeln!(text, "$ {line}\n{}", ran.stdout).expect("a string");
    }
    compare("help", &text);
}

// covers: C224 C200
#[tokio::test(start_paused = true)]
async fn usage_errors() {
    let lines = [
        "gantry",
        "gantry instance",
        "gnt-instance",
        "gnt-instance lst",
        "gantry instance strtup web1",
        "gnt-instance list --bogus",
        "gnt-instance startup",
        "gnt-instance startup --ignore-online web1",
        "gnt-instance add -t drbd web1",
        "gnt-instance add -t file -s 1X web1",
        "gnt-instance add -t file --disk 0:sise=1G web1",
        "gnt-instance startup 'bad name'",
        "gnt-instance startup --priority urgent web1",
        "gnt-debug delay 0",
        "gnt-job watch x",
        "gnt-instance add",
        "gnt-instance remove web1 web2",
        "gnt-cluster getmaster now",
        "gnt-debug delay 1 2",
        "gantry job wait",
    ];
    Session::new().check("usage-errors", &lines).await;
}

// covers: C224
#[tokio::test(start_paused = true)]
async fn versions() {
    let lines = ["gantry --version", "gnt-cluster --version", "gnt-instance list --version"];
    let session = Session::new();
    for line in lines {
        let ran = session.run(line).await;
        assert_eq!(ran.code.0, 0);
        let version = env!("CARGO_PKG_VERSION");
        assert!(ran.stdout.ends_with(&format!(" {version}\n")), "{}", ran.stdout);
        assert_eq!(ran.stdout.contains("(ganeti "), line.starts_with("gnt-"), "{}", ran.stdout);
    }
}
