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
    if !ctx.io.stdin_is_terminal {
        ctx.warn(question)?;
        ctx.warn("Not confirmed: there is no terminal to ask at.")?;
        return Ok(false);
    }
    for _ in 0..QUESTIONS_MAX {
        ctx.prompt(&format!("{question}\ny/[n]/?: "))?;
        match answer(ctx).await.as_deref() {
            Some("y" | "Y" | "yes") => return Ok(true),
            Some("" | "n" | "N" | "no") | None => return Ok(false),
            _ => {
                ctx.warn(&format!(" y - {yes}"))?;
                ctx.warn(" n - Do nothing")?;
                ctx.warn(" ? - Show this help")?;
            }
        }
    }
    Ok(false)
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
