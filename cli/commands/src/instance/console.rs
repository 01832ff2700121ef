//! `gantry instance console` (C62)

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::InstanceUuid;
use gantry_model::names::InstanceName;
use gantry_model::query::Resource;
use serde_json::json;

use super::console_io::{End, attach};
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::full_names::in_words;

/// Connect to the serial console of an instance
///
/// Keys go to the guest; Ctrl-] ends the connection. When standard input is not a terminal, what it
/// has is sent to the guest, and the output is printed until the guest is gone. Of an instance that
/// is not running the last output is printed, and the command fails.
///
/// Example: gantry instance console web1
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "INSTANCE")]
    instance_name: InstanceName,
    /// Print the command that connects, and do nothing
    #[arg(long)]
    show_cmd: bool,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let name = args.instance_name;
    ctx.typed(Resource::Instance, &[name.to_string()]);
    if args.show_cmd {
        find(ctx, &name).await?;
        let command = command_line(ctx, &name);
        ctx.set_document(json!({"command": command}));
        return if ctx.json() { Ok(()) } else { ctx.say(&command.join(" ")) };
    }
    if ctx.json() {
        let text = "a console is no document: --json goes with --show-cmd only";
        return Err(CommandError::argument(text));
    }
    let instance = find(ctx, &name).await?;
    let client = ctx.client().await?;
    let raw = match ctx.io.stdin_is_terminal {
        true => {
            ctx.warn(&format!("Connected to the console of {name}, Ctrl-] ends it."))?;
            let terminal = ctx.io.terminal.clone();
            Some(terminal.raw().map_err(|source| {
                let action = "switch the terminal to raw mode";
                CommandError::new(CommandErrorKind::Failed, Failure::Stream { action, source })
            })?)
        }
        false => None,
    };
    let end = attach(ctx, &client, instance, raw.is_some()).await;
    // The terminal is put back before anything else is said.
    drop(raw);
    match end? {
        End::Escaped => ctx.warn(&format!("\nDisconnected from the console of {name}.")),
        End::Closed => ctx.warn(&format!("\nInstance {name} is not running any more.")),
        End::NotRunning => {
            let fault =
                Fault::new(FaultCode::WrongState, format!("instance {name} is not running"));
            let error = CommandError::new(CommandErrorKind::Failed, Failure::Refused(fault));
            Err(error.hint(format!("start it with `gantry instance startup {name}`")))
        }
    }
}

async fn find(ctx: &mut Context<'_>, name: &InstanceName) -> Result<InstanceUuid, CommandError> {
    let found = ctx.client().await?.instance_uuid(name.as_str()).await;
    found.map_err(|error| in_words(error, &[name.to_string()], "does not exist"))
}

/// The command for the same console, each word as a shell needs it.
fn command_line(ctx: &Context<'_>, name: &InstanceName) -> Vec<String> {
    let mut words = vec!["gantry".to_owned(), "instance".to_owned(), "console".to_owned()];
    words.push("--state-dir".to_owned());
    words.push(shell_word(&ctx.state_dir().display().to_string()));
    if let Some(endpoint) = &ctx.globals.endpoint {
        words.push("--endpoint".to_owned());
        words.push(shell_word(endpoint));
    }
    words.push(name.to_string());
    words
}

fn shell_word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:,+@%=[]".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) && !text.contains(['[', ']']) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for (text, word) in [
            ("/var/lib/gantry", "/var/lib/gantry"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("[::1]:1811", "'[::1]:1811'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
