//! Questions to the user (C216): `y/[n]/?`. Who cannot be asked has said no.

use tokio::io::AsyncReadExt as _;

use crate::context::Context;
use crate::error::CommandError;

/// Longest answer. A terminal gives a line; more is no answer.
const ANSWER_BYTES_MAX: usize = 256;

/// How often a question is asked again after an answer that is none. Higher loops for long when
/// somebody types ahead.
const QUESTIONS_MAX: u32 = 5;

/// Asks; `yes` says what a yes does.
///
/// # Errors
/// When the question cannot be written.
pub(crate) async fn confirm(
    ctx: &mut Context<'_>,
    question: &str,
    yes: &str,
) -> Result<bool, CommandError> {
    let choices = [('y', yes), ('n', "Do nothing")];
    Ok(choose(ctx, question, &choices).await? == Some('y'))
}

/// Asks for one of several answers, of which the last is that of somebody who says nothing. `None`
/// when nobody can be asked.
async fn choose(
    ctx: &mut Context<'_>,
    question: &str,
    choices: &[(char, &str)],
) -> Result<Option<char>, CommandError> {
    if !ctx.io.stdin_is_terminal {
        ctx.warn(question)?;
        ctx.warn("Not confirmed: there is no terminal to ask at.")?;
        return Ok(None);
    }
    let Some(((last, _), others)) = choices.split_last() else { return Ok(None) };
    let mut keys: String = others.iter().map(|(key, _)| format!("{key}/")).collect();
    keys.push_str(&format!("[{last}]/?: "));
    for _ in 0..QUESTIONS_MAX {
        ctx.prompt(&format!("{question}\n{keys}"))?;
        let Some(typed) = answer(ctx).await else { return Ok(Some(*last)) };
        let typed = typed.to_lowercase();
        if typed.is_empty() {
            return Ok(Some(*last));
        }
        let long = |key: char| match key {
            'y' => "yes",
            'n' => "no",
            _ => "",
        };
        let is = |key: char| typed == key.to_string() || typed == long(key);
        if let Some((key, _)) = choices.iter().find(|(key, _)| is(*key)) {
            return Ok(Some(*key));
        }
        for (key, meaning) in choices {
            ctx.warn(&format!(" {key} - {meaning}"))?;
        }
        ctx.warn(" ? - Show this help")?;
    }
    Ok(Some(*last))
}

/// How many objects are named with the question; more can be looked at.
const LISTED_MAX: usize = 20;

/// Asks whether to operate on several objects, which are named (C216).
///
/// # Errors
/// When the question cannot be written.
pub(crate) async fn confirm_listed(
    ctx: &mut Context<'_>,
    verb: &str,
    what: &str,
    names: &[String],
    extra: &str,
) -> Result<bool, CommandError> {
    let question = format!(
        "The {verb} will operate on {} {what}.\n{extra}Do you want to continue?",
        names.len()
    );
    let list = names.iter().map(|name| format!("  {name}")).collect::<Vec<_>>().join("\n");
    let listed = format!("{question}\nAffected {what}:\n{list}");
    let yes = format!("Yes, execute the {verb}");
    let no = format!("No, abort the {verb}");
    let choices = [('y', yes.as_str()), ('n', no.as_str())];
    if names.len() > LISTED_MAX && ctx.io.stdin_is_terminal {
        let view = format!("View the list of affected {what}");
        let choices = [('y', yes.as_str()), ('v', view.as_str()), ('n', no.as_str())];
        match choose(ctx, &question, &choices).await? {
            Some('v') => {}
            choice => return Ok(choice == Some('y')),
        }
    }
    Ok(choose(ctx, &listed, &choices).await? == Some('y'))
}

/// One line; `None` at the end of the input, or when it cannot be read.
async fn answer(ctx: &mut Context<'_>) -> Option<String> {
    let mut line = Vec::new();
    loop {
        match ctx.io.stdin.read_u8().await {
            Ok(b'\n') => return String::from_utf8(line).ok().map(|line| line.trim().to_owned()),
            Ok(byte) if line.len() < ANSWER_BYTES_MAX => line.push(byte),
            Ok(_) | Err(_) => return None,
        }
    }
}
