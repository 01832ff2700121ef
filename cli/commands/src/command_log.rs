//! The log of commands (C223): what was run on this machine, by which process, and how it ended.
//!
//! Two lines for each command, in the form of Ganeti's `commands.log`. The second has the trace by
//! which the same command is found in the logs of all nodes. Secrets do not stand in it: values of
//! options that carry some, and join tokens, are left out.
//!
//! Deliberately absent: the file itself, which is [`Machine`](crate::machine::Machine)'s, and what
//! the cluster did.

use std::ffi::OsString;

use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::output::time::format_command_time;

/// Longest command line that is kept whole. Lower cuts what people type; higher lets one command
/// with a thousand names push the others out of the file.
const LINE_BYTES_MAX: usize = 4096;

/// What stands for a value that nobody may read.
const REDACTED: &str = "<redacted>";

/// Options whose value is a secret.
const SECRET_OPTIONS: [&str; 2] = ["--os-parameters-private", "--os-parameters-secret"];

/// How the text of a join token begins, whatever its version.
const TOKEN_PREFIX: &str = "gantry-join-";

/// What is to be said of one command.
pub(crate) struct CommandLog {
    command_line: String,
    /// There may be no cluster yet when a command begins that makes one.
    is_begun: bool,
}

impl CommandLog {
    /// Says that it begins.
    pub(crate) fn begin(ctx: &Context<'_>, args: &[OsString]) -> Self {
        let command_line = format!("Command line: {}", shown(args));
        let is_begun = write(ctx, "INFO", &command_line);
        Self { command_line, is_begun }
    }

    /// Says how it ended.
    pub(crate) fn end(self, ctx: &Context<'_>, code: ExitCode) {
        if !self.is_begun && !write(ctx, "INFO", &self.command_line) {
            return;
        }
        let level = if code == ExitCode::SUCCESS { "INFO" } else { "ERROR" };
        let trace = ctx.open_client().map(|client| format!(", trace {}", client.trace()));
        write(ctx, level, &format!("Exit code {}{}", code.0, trace.unwrap_or_default()));
    }
}

/// Whether there is a cluster whose log has it now.
fn write(ctx: &Context<'_>, level: &str, text: &str) -> bool {
    let time = format_command_time((ctx.io.now)(), &ctx.io.time_zone);
    let line = format!("{time}: {} pid={} {level} {text}\n", ctx.command_name(), ctx.io.pid);
    match ctx.machine.log_command(&ctx.state_dir(), &line) {
        Ok(written) => written,
        // Who may use the cluster need not be one who may write here.
        Err(error) => {
            tracing::debug!(%error, "the log of commands is not written");
            false
        }
    }
}

/// A command line on one line, as it could be typed again, without secrets.
fn shown(args: &[OsString]) -> String {
    let mut shown = String::new();
    let mut is_secret = false;
    for (place, arg) in args.iter().enumerate() {
        let arg = arg.to_string_lossy();
        // The program by its name: people do not type the path.
        let arg = if place == 0 { arg.rsplit('/').next().unwrap_or(&arg) } else { &arg };
        let option = arg.split_once('=').map_or(arg, |(option, _)| option);
        let arg = match SECRET_OPTIONS.contains(&option) {
            true if arg.contains('=') => format!("{option}={REDACTED}"),
            _ if is_secret || arg.starts_with(TOKEN_PREFIX) => REDACTED.to_owned(),
            _ => quoted(arg),
        };
        is_secret = SECRET_OPTIONS.contains(&arg.as_str());
        if place > 0 {
            shown.push(' ');
        }
        shown.push_str(&arg);
        if shown.len() > LINE_BYTES_MAX {
            shown.truncate(shown.floor_char_boundary(LINE_BYTES_MAX));
            return shown + "...";
        }
    }
    shown
}

/// A word as a shell reads it, with control characters by their escapes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("'");
    for c in word.chars() {
        match c {
            '\'' => quoted.push_str("'\\''"),
            c if c.is_control() => quoted.extend(c.escape_default()),
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[&str]) -> String {
        shown(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_can_be_typed_again() {
        let words = ["/usr/sbin/gnt-instance", "list", "-F", "name == \"a\"", "it's", "", "a\nb"];
        let expected = r#"gnt-instance list -F 'name == "a"' 'it'\''s' '' 'a\nb'"#;
        assert_eq!(line(&words), expected);
    }

    // covers: C223 Q13
    #[test]
    fn secrets_do_not_stand_in_it() {
        let words = ["gantry", "instance", "add", "--os-parameters-secret", "key=1", "web1"];
        assert_eq!(line(&words), "gantry instance add --os-parameters-secret <redacted> web1");
        let words = ["gantry", "instance", "add", "--os-parameters-private=key=1", "web1"];
        assert_eq!(line(&words), "gantry instance add --os-parameters-private=<redacted> web1");
        assert_eq!(line(&["gantry", "join", "gantry-join-1.00ff"]), "gantry join <redacted>");
    }

    #[test]
    fn a_long_line_is_cut() {
        let name = "x".repeat(100);
        let words = vec![name.as_str(); 100];
        let cut = line(&words);
        assert!(cut.len() == LINE_BYTES_MAX + 3 && cut.ends_with("x..."), "{}", cut.len());
    }
}
