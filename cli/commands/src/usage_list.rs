//! The list of sub-commands that Ganeti's commands print where none is named, or one that does not
//! exist (C224). Scripts read it, so it has Ganeti's form; `gantry` itself prints its help.

use clap::Command;

/// Longest name that widens the column of names.
const NAME_CHARS_MAX: usize = 60;

/// Columns of the whole.
const LINE_CHARS: usize = 79;

/// The list, with what each command is for.
#[must_use]
pub(crate) fn usage_list(command: &Command) -> String {
    let program = command.get_name();
    let mut shown: Vec<&Command> =
        command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    shown.sort_by_key(|below| below.get_name());
    let names = shown.iter().map(|below| below.get_name().len());
    let width = names.max().unwrap_or(0).min(NAME_CHARS_MAX);
    let mut text = format!(
        "Usage: {program} {{command}} [options...] [argument...]\n\
         {program} <command> --help to see details, or man {program}\n\nCommands:\n"
    );
    for below in shown {
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        let (mut name, mut mark) = (below.get_name(), '-');
        for line in wrapped(&about, LINE_CHARS - 3 - width) {
            text.push_str(&format!(" {name:<width$} {mark} {line}\n"));
            (name, mark) = ("", ' ');
        }
    }
    text.push('\n');
    text
}

/// Lines of whole words, of at most so many characters where a word is not longer; at least one.
fn wrapped(text: &str, chars_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= chars_max {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::command_of;
    use crate::program::Program;

    // covers: C224
    #[test]
    fn the_list_has_ganetis_form() {
        let text = usage_list(&command_of(Program::Job));
        let mut lines = text.lines();
        let head = "Usage: gnt-job {command} [options...] [argument...]";
        assert_eq!(lines.next(), Some(head));
        assert_eq!(lines.next(), Some("gnt-job <command> --help to see details, or man gnt-job"));
        assert_eq!([lines.next(), lines.next()], [Some(""), Some("Commands:")]);
        let archive = lines.next().expect("the first command");
        assert!(archive.starts_with(" archive         - "), "{archive}");
        assert!(text.ends_with("\n\n"), "{text:?}");
    }

    #[test]
    fn long_texts_go_on_below_themselves() {
        let command = Command::new("gnt-x").subcommand(Command::new("b").about("long ".repeat(30)));
        let text = usage_list(&command);
        let lines: Vec<&str> = text.lines().skip(4).collect();
        assert!(lines[0].starts_with(" b - long"), "{text}");
        assert!(lines[1].starts_with("     long"), "{text}");
        assert!(lines.iter().all(|line| line.len() <= LINE_CHARS), "{text}");
        assert_eq!(wrapped("", 5), [""]);
    }
}
