//! `gantry complete`: what may come next on a command line, for the shells' own completion.
//!
//! The words of a shell are walked along the definitions of the commands, so nothing here knows a
//! single command. Names of objects are asked of the daemon; without one, or when it does not
//! answer at once, there are none, and nothing is said.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use gantry_client::Client;
use gantry_model::query::{Cell, Resource};
use serde_json::{Value, json};

use crate::app::command_of;
use crate::context::Context;
use crate::error::CommandError;
use crate::program::Program;

/// How long a person who presses Tab is kept waiting for names. A daemon on this machine needs some
/// milliseconds; higher makes the shell seem to hang, lower loses names on a busy machine.
const PATIENCE: Duration = Duration::from_millis(300);

/// Tell a shell what may come next
///
/// The scripts of `gantry completion` call it with the words of the command line up to the cursor;
/// the last one is the beginning of what is wanted. It prints one candidate per line.
///
/// Example: gantry complete -- gnt-instance startup w
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The words of the command line, the program first
    #[arg(last = true, required = true, value_name = "WORD")]
    words: Vec<String>,
}

/// What may stand at the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    /// Words that the definitions know.
    words: Vec<String>,
    /// Objects by their value name, such as `INSTANCE`.
    objects: Option<String>,
    /// The noun that the command is about.
    noun: String,
    /// What is before the value in the same word, as `--node=`.
    before: String,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let Some((program, words)) = args.words.split_first() else { return Ok(()) };
    let (given, current) = match words.split_last() {
        // Bash has the sign as a word of its own; behind it a value begins.
        Some((current, given)) if current == "=" => (given, ""),
        Some((current, given)) => (given, current.as_str()),
        None => (words, ""),
    };
    let expected = expected(Program::of_path(program.as_ref()), given, current);
    let mut candidates = expected.words;
    if let Some(objects) = &expected.objects {
        let names = async {
            let client = ctx.client().await.ok()?;
            names_of(&client, objects, &expected.noun).await
        };
        // Nobody at a prompt wants to read that there is no daemon.
        let names = tokio::time::timeout(PATIENCE, names).await;
        let names = names.ok().flatten().unwrap_or_default();
        let value = current.strip_prefix(&expected.before).unwrap_or(current);
        let listed = listed_before(objects, value);
        candidates.extend(names.iter().map(|name| format!("{listed}{name}")));
    }
    let candidates = candidates.into_iter().map(|value| format!("{}{value}", expected.before));
    let candidates: Vec<String> = candidates.filter(|word| word.starts_with(current)).collect();
    if !ctx.json() {
        let text: String = candidates.iter().map(|word| format!("{word}\n")).collect();
        return ctx.print(&text);
    }
    ctx.set_document(json!(candidates));
    Ok(())
}

/// What of a value is a list already, so that the next of it is wanted: `name,` in `name,st`, and
/// the sign by which a list adds to the default one.
fn listed_before<'a>(objects: &str, value: &'a str) -> &'a str {
    let begun = usize::from(value.starts_with('+'));
    match objects {
        "FIELDS" => &value[..value.rfind(',').map_or(begun, |at| at + 1)],
        _ => "",
    }
}

/// What the definitions say may stand at the cursor.
fn expected(program: Program, given: &[String], current: &str) -> Expected {
    let mut root = command_of(program).disable_help_subcommand(true);
    root.build();
    let mut command = &root;
    let mut noun = program.name().trim_start_matches("gnt-").to_owned();
    let mut wants_value: Option<&Arg> = None;
    let (mut n_positionals, mut only_positionals) = (0, false);
    for word in given {
        if word == "=" {
            // Bash cuts there.
            continue;
        }
        if wants_value.take().is_some() {
            continue;
        }
        if only_positionals || word == "-" || !word.starts_with('-') {
            match command.find_subcommand(word).filter(|_| !only_positionals) {
                Some(inner) => {
                    if program == Program::Gantry && std::ptr::eq(command, &root) {
                        noun = word.clone();
                    }
                    (command, n_positionals) = (inner, 0);
                }
                None => n_positionals += 1,
            }
        } else if word == "--" {
            only_positionals = true;
        } else {
            wants_value = option(command, word).filter(|_| !word.contains('='));
        }
    }
    let mut expected = Expected { noun, ..Expected::default() };
    if let Some(arg) = wants_value {
        expected.take_values(arg);
    } else if let Some((name, _)) = current.split_once('=').filter(|_| current.starts_with("--")) {
        if let Some(arg) = option(command, name) {
            expected.before = format!("{name}=");
            expected.take_values(arg);
        }
    } else if current.starts_with('-') && !only_positionals {
        let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
        expected.words =
            options.filter_map(Arg::get_long).map(|name| format!("--{name}")).collect();
    } else {
        let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
        expected.words = inner.map(|inner| inner.get_name().to_owned()).collect();
        let positionals: Vec<&Arg> = command.get_positionals().collect();
        let many = |arg: &&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let next = positionals.get(n_positionals).copied();
        if let Some(arg) = next.or_else(|| positionals.last().copied().filter(many)) {
            expected.take_values(arg);
        }
    }
    expected
}

/// The option of a word, if it takes a value.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let takes = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let mut options = command.get_arguments().filter(takes);
    match word.strip_prefix("--") {
        Some(name) => options.find(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(name) || aliases.contains(&name)
        }),
        // Of several short ones in a word only the last can have its value in the next.
        None => {
            let last = word.chars().last();
            options.find(|arg| arg.get_short().is_some() && arg.get_short() == last)
        }
    }
}

impl Expected {
    fn take_values(&mut self, arg: &Arg) {
        let values = arg.get_possible_values();
        if !values.is_empty() {
            let shown = values.iter().filter(|value| !value.is_hide_set());
            self.words.extend(shown.map(|value| value.get_name().to_owned()));
            return;
        }
        let name = arg.get_value_names().and_then(|names| names.first());
        self.objects = name.map(ToString::to_string);
    }
}

/// The names of the objects that a value is one of; `None` when it is none of them, or nobody says.
async fn names_of(client: &Client, value_name: &str, noun: &str) -> Option<Vec<String>> {
    let column = |resource, field: &'static str| async move {
        let table = client.query(resource, &[field], &[]).await.ok()?;
        Some(table.rows.into_iter().flatten().collect::<Vec<Cell>>())
    };
    let cells = match value_name {
        "INSTANCE" | "INSTANCES" => column(Resource::Instance, "name").await?,
        "NODE" | "NODES" | "NODE[:NODE]" => column(Resource::Node, "name").await?,
        "JOB" | "JOBS" => column(Resource::Job, "id").await?,
        "TAG" | "TAGS" => {
            let mut tags = column(Resource::Instance, "tags").await.unwrap_or_default();
            tags.extend(column(Resource::Node, "tags").await.unwrap_or_default());
            tags
        }
        "FIELD" | "FIELDS" => {
            let resource = Resource::ALL.into_iter().find(|of| of.as_str() == noun)?;
            let fields = client.fields(resource, &[]).await.ok()?.fields;
            return Some(fields.into_iter().map(|field| field.name).collect());
        }
        _ => return None,
    };
    let mut names = BTreeSet::new();
    for cell in cells {
        if let Cell::Value(value) = cell {
            add_names(value, &mut names);
        }
    }
    Some(names.into_iter().collect())
}

fn add_names(value: Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(name) => {
            names.insert(name);
        }
        Value::Number(number) => {
            names.insert(number.to_string());
        }
        Value::Array(values) => values.into_iter().for_each(|value| add_names(value, names)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Expected {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (program, words) = words.split_first().expect("a program");
        let (current, given) = words.split_last().expect("a word, perhaps empty");
        expected(Program::of_path(program.as_ref()), given, current)
    }

    // covers: C217
    #[test]
    fn commands_come_first() {
        let words = at("gantry ").words;
        assert!(words.contains(&"instance".to_owned()) && !words.contains(&"complete".to_owned()));
        assert!(at("gnt-instance ").words.contains(&"startup".to_owned()));
        assert!(at("gantry instance ").words.contains(&"startup".to_owned()));
    }

    // covers: C217
    #[test]
    fn values_are_what_their_definition_says() {
        for (line, objects, noun) in [
            ("gnt-instance startup ", "INSTANCE", "instance"),
            ("gnt-instance startup web1 ", "INSTANCE", "instance"),
            ("gantry instance startup --submit ", "INSTANCE", "instance"),
            ("gnt-job watch ", "JOB", "job"),
            ("gantry node list -o ", "FIELDS", "node"),
            ("gantry node list --output=", "FIELDS", "node"),
            ("gantry debug actors --node ", "NODE", "debug"),
        ] {
            let expected = at(line);
            assert_eq!(expected.objects.as_deref(), Some(objects), "{line}");
            assert_eq!(expected.noun, noun, "{line}");
        }
    }

    // covers: C217
    #[test]
    fn a_list_of_fields_goes_on_behind_its_last_comma() {
        for (value, before) in
            [("na", ""), ("name,st", "name,"), ("name,", "name,"), ("+na", "+"), ("+a,b", "+a,")]
        {
            assert_eq!(listed_before("FIELDS", value), before, "{value}");
        }
        assert_eq!(listed_before("INSTANCE", "web,1"), "");
    }

    // covers: C217
    #[test]
    fn an_option_is_not_taken_for_a_value_nor_its_value_for_a_name() {
        assert!(at("gnt-instance startup --").words.contains(&"--submit".to_owned()));
        assert_eq!(at("gnt-instance startup --reason because --").objects, None);
        let after = at("gnt-instance startup --reason because ");
        assert_eq!(after.objects.as_deref(), Some("INSTANCE"));
        assert!(at("gnt-instance startup --priority ").words.contains(&"high".to_owned()));
        assert_eq!(at("gnt-instance remove web1 ").objects, None, "it takes one name");
    }
}
