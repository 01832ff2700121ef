//! Every place for a value in a command line against each class of wrong values. One file per
//! class: the end of the command line, and below it the exit code and what was said of it.
//!
//! The places are found in the definitions of the commands, and parameters in their tables, so that
//! none can be forgotten. What they are is known by the name of the value that help shows; a new
//! such name fails a test until it is said whether it is an amount.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use gantry_commands::{LINKS, Program, command_of};
use gantry_model::objects::{DISK_PARAMETERS, DISK_STATE_KEYS, HV_STATE_KEYS, NODE_PARAMETERS};
use gantry_model::params::{BackendParams, FakeParams, KvmParams, ParameterSet as _};

use crate::harness::{Ran, Session, compare};
use crate::matrix::{LINES, WITHOUT_A_CLUSTER};

/// Commands that stand below no noun, with arguments that nothing is wrong with.
const TOP: &[&str] = &[
    "gantry daemon",
    "gantry join TOKEN",
    "gantry demo",
    "gantry doctor",
    "gantry install-links /nowhere/dir",
    "gantry install-man /nowhere/dir",
    "gantry install-units",
    "gantry completion bash",
];

/// What help calls values that are amounts, or lists of them: none of the classes is one, except 0
/// for some.
const AMOUNTS: &[&str] = &[
    "AGE",
    "BITS",
    "BOUNDS",
    "COUNT",
    "HOST:PORT",
    "IP:PORT",
    "JOB",
    "N",
    "RATIO",
    "SECONDS",
    "SIZE",
    "TIME",
    "XX:XX:XX",
];

/// What help calls lists of keys and values; their keys are in [`keys_of`].
const LISTS: &[&str] = &[
    "HV:KEY=VALUE,...",
    "HV[:KEY=VALUE,...]",
    "KEY=VALUE,...",
    "N:KEY=VALUE,...",
    "TEMPLATE:KEY=VALUE,...",
    "TYPE/NAME:KEY=VALUE,...",
];

/// What help calls everything else: of these classes some are good names, paths or texts.
const TEXTS: &[&str] = &[
    "4|6",
    "ADDRESS",
    "CLUSTER_NAME",
    "DIR",
    "DRIVER",
    "FIELD",
    "FIELDS",
    "FILE",
    "GROUP",
    "HOLDER",
    "ID,ID-ID,...",
    "IMAGE",
    "INSTANCE",
    "INSTANCE_NAME",
    "NAME",
    "NAMES",
    "NETDEV",
    "NODE",
    "NODE[:NODE]",
    "NODE_NAME",
    "PATH",
    "PATTERN",
    "TAG",
    "TAG,...",
    "TEXT",
    "TOKEN",
    "TYPE",
    "VG",
    "yes|no",
];

/// How long the longest value is: what a shell passes on at most is 128 KiB.
const LONG_BYTES: usize = 100 * 1024;

/// How long a command may take, on the clock of the test: longer than it asks for anything.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(3600);

/// A place for a value in the definition of a command.
struct Place {
    /// A command line that works, without the value.
    before: String,
    arg: Arg,
}

impl Place {
    fn value_name(&self) -> String {
        self.arg
            .get_value_names()
            .and_then(|names| names.first())
            .map(ToString::to_string)
            .unwrap_or_else(|| self.arg.get_id().as_str().to_uppercase())
    }

    /// The value, or the parts that it may consist of, each with `{}` where a wrong one stands.
    fn forms(&self) -> Vec<String> {
        let mut forms = vec!["{}".to_owned()];
        if self.value_name() == "HOST:PORT" {
            forms.push("node1.example:{}".to_owned());
        }
        if self.value_name() == "KEY=VALUE,..."
            && self.arg.get_long() == Some("hypervisor-parameters")
        {
            // Of an instance, whose hypervisor is known.
            let own = keys_of("hypervisor-parameters");
            forms.extend(
                own.iter().filter_map(|form| form.strip_prefix("fake:").map(str::to_owned)),
            );
        } else if LISTS.contains(&self.value_name().as_str()) || self.value_name() == "BOUNDS" {
            forms.extend(keys_of(self.arg.get_long().expect("an option")));
        }
        forms
    }
}

/// The lists with each of their keys.
fn keys_of(option: &str) -> Vec<String> {
    let keys = |before: &str, names: &mut dyn Iterator<Item = &'static str>| -> Vec<String> {
        names.map(|name| format!("{before}{name}={{}}")).collect()
    };
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let all_templates = DISK_PARAMETERS.iter().map(|(template, params)| {
        keys(&format!("{template}:"), &mut params.iter().map(|param| param.name))
    });
    match option {
        "backend-parameters" => {
            keys("", &mut BackendParams::SPECS.iter().map(|spec| spec.name).chain(["memory"]))
        }
        "hypervisor-parameters" => [
            keys("kvm:", &mut KvmParams::SPECS.iter().map(|spec| spec.name)),
            keys("fake:", &mut FakeParams::SPECS.iter().map(|spec| spec.name)),
        ]
        .concat(),
        "nic-parameters" => texts(&["mode={}", "link={}", "vlan={}"]),
        "node-parameters" => keys("", &mut NODE_PARAMETERS.iter().map(|param| param.name)),
        "disk-parameters" => all_templates.flatten().collect(),
        "hypervisor-state" => keys("kvm:", &mut HV_STATE_KEYS.into_iter()),
        "disk-state" => keys("plain/xenvg:", &mut DISK_STATE_KEYS.into_iter()),
        "disk" => texts(&["{}:size=1G", "1:size={}", "1:size=1G,mode={}", "1:size=1G,name={}"]),
        "net" => texts(&[
            "{}:link=br0",
            "0:mac={}",
            "0:ip={}",
            "0:mode={}",
            "0:link={}",
            "0:vlan={}",
            "0:network={}",
            "0:name={}",
        ]),
        "os-parameters" | "os-parameters-private" | "os-parameters-secret" => {
            texts(&["os-image={}"])
        }
        "default-iallocator-params" => texts(&["key={}"]),
        "ipolicy-bounds-specs" => texts(&["min:cpu-count={}/max:cpu-count=1"]),
        "ipolicy-std-specs" => texts(&["cpu-count={}", "memory-size={}", "disk-size={}"]),
        specs if specs.starts_with("specs-") => texts(&["min={}", "max={}", "std={}"]),
        _ => panic!("--{option} takes a list: its keys belong here"),
    }
}

/// Every place for a value. What all commands have is at the first of them only.
fn places() -> Vec<Place> {
    let mut seen = BTreeSet::new();
    let mut places = Vec::new();
    for line in LINES.iter().chain(WITHOUT_A_CLUSTER).chain(TOP) {
        // A template that has disks, so that they can be wrong.
        let line = line.replace("-t diskless", "-t file --disk 0:size=1G");
        // Nothing can be made there.
        let line = line.replace("{dir}", "/proc/nowhere");
        let words: Vec<&str> = line.split(' ').collect();
        let program = Program::of_path(words[0].as_ref());
        let root = command_of(program);
        let command = root.find_subcommand(words[1]).expect("a command");
        let values = |arg: &&Arg| arg.get_action().takes_values();
        for arg in command.get_arguments().chain(root.get_arguments()).filter(values) {
            let global =
                arg.is_global_set() || ["priority", "separator"].contains(&arg.get_id().as_str());
            if global && !seen.insert(arg.get_id().clone()) {
                continue;
            }
            // These make the directory that they are told, and files in it.
            let makes = line.contains(" install-") && arg.is_positional();
            if makes || arg.get_long() == Some("out") {
                continue;
            }
            let before = match arg.get_long() {
                Some(long) => format!("{line} --{long}"),
                None if matches!(arg.get_action(), ArgAction::Append) => line.clone(),
                // The other words of the line are before it.
                None => line.rsplit_once(' ').expect("several words").0.to_owned(),
            };
            places.push(Place { before, arg: arg.clone() });
        }
    }
    places
}

/// The words of the line with a value that may be no text.
fn with_value(before: &str, form: &str, value: &[u8]) -> Vec<OsString> {
    let (left, right) = form.split_once("{}").expect("a place");
    let value = [left.as_bytes(), value, right.as_bytes()].concat();
    let words = before.split(' ').map(OsString::from);
    words.chain([OsString::from_vec(value)]).collect()
}

/// What was said, without the lines that are the same for every refusal of a class.
fn said(ran: &Ran) -> String {
    let headers = ["Failure: prerequisites not met", "error type:", "Usage:", "For more info"];
    let lines =
        ran.stderr.lines().map(str::trim).filter(|line| {
            !line.is_empty() && !headers.iter().any(|header| line.starts_with(header))
        });
    let lines: Vec<&str> = lines.collect();
    match (ran.code.0, lines.is_empty()) {
        (0, true) => "accepted".to_owned(),
        (0, false) => format!("accepted: {}", lines.join(" / ")),
        _ => lines.join(" / "),
    }
}

/// Each place with this value, in one file.
async fn class(name: &str, value: &[u8], shown: &str) {
    let mut text = String::new();
    let mut wrong = String::new();
    for place in places() {
        // What else there is, is said of every value that is none of the words.
        if !place.arg.get_possible_values().is_empty() && name != "text" {
            continue;
        }
        for form in place.forms() {
            let session = Session::new();
            let run = session.run_args(with_value(&place.before, &form, value));
            let line = format!("{} '{}'", place.before, form.replace("{}", shown));
            let Ok(ran) = tokio::time::timeout(COMMAND_TIME_MAX, run).await else {
                writeln!(wrong, "{line}: no end").expect("a string");
                continue;
            };
            let said = said(&ran).replace(&String::from_utf8_lossy(value).into_owned(), shown);
            writeln!(text, "$ {line}\n  {} {said}", ran.code.0).expect("a string");
            if said.len() > 1500 || ran.code.0 == 70 {
                writeln!(wrong, "{line}: {} {} bytes", ran.code.0, said.len()).expect("a string");
            }
            let amount = AMOUNTS.contains(&place.value_name().as_str());
            if amount && form == "{}" && ran.code.0 == 0 && name != "zero" {
                writeln!(wrong, "{line}: accepted").expect("a string");
            }
        }
    }
    compare(&format!("values-{name}"), &text);
    assert_eq!(wrong, "");
}

/// Otherwise nobody has thought about what a new option takes.
#[test]
fn what_every_place_takes_is_known() {
    for place in places() {
        let name = place.value_name();
        let word = !place.arg.get_possible_values().is_empty();
        let known = [AMOUNTS, LISTS, TEXTS].concat().contains(&name.as_str());
        assert!(word || known, "{} takes {name}: is it an amount?", place.before);
    }
}

/// Every command that there is has a line, so that its options are looked at.
#[test]
fn every_command_is_here() {
    let known: BTreeSet<String> = LINES
        .iter()
        .chain(WITHOUT_A_CLUSTER)
        .chain(TOP)
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let root = command_of(Program::Gantry);
    let is_noun = |command: &&Command| command.has_subcommands();
    let of_nouns = LINKS.map(command_of);
    let nouns = of_nouns.iter().flat_map(|noun| {
        noun.get_subcommands().map(|verb| format!("{} {}", noun.get_name(), verb.get_name()))
    });
    let top = root.get_subcommands().filter(|command| !is_noun(command) && !command.is_hide_set());
    let top = top.map(|command| format!("gantry {}", command.get_name()));
    for command in nouns.chain(top).filter(|command| !command.ends_with(" help")) {
        assert!(known.contains(&command), "{command}");
    }
}

// covers: C203 C204
#[tokio::test(start_paused = true)]
async fn zero() {
    class("zero", b"0", "0").await;
}

// covers: C203 C204
#[tokio::test(start_paused = true)]
async fn negative() {
    class("negative", b"-1", "-1").await;
}

// covers: C203 C204
#[tokio::test(start_paused = true)]
async fn absurd() {
    class("absurd", format!("1{}", "0".repeat(30)).as_bytes(), "10^30").await;
}

// covers: C203 C204
#[tokio::test(start_paused = true)]
async fn wrong_suffix() {
    class("suffix", b"7q", "7q").await;
}

// covers: C200 C201 C202
#[tokio::test(start_paused = true)]
async fn text() {
    class("text", b"no such!", "no such!").await;
}

// covers: C201 C202
#[tokio::test(start_paused = true)]
async fn empty() {
    class("empty", b"", "").await;
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn no_text() {
    class("bytes", b"7\xff", "7\\xff").await;
}

// covers: C200
#[tokio::test(start_paused = true)]
async fn too_long() {
    class("long", "7".repeat(LONG_BYTES).as_bytes(), "7{100 KiB}").await;
}
