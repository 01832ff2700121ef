//! The two directions of a console: output as it comes, keys as they are typed.

use std::time::Duration;

use std::io::Write as _;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_client::{Client, ClientError};
use gantry_model::ids::InstanceUuid;
use gantry_model::messages::ConsoleChunk;
use tokio::io::AsyncReadExt as _;

use crate::context::Context;
use crate::error::CommandError;

/// The key that ends a connection: Ctrl-], as in telnet and `virsh console`.
pub(super) const ESCAPE: u8 = 0x1d;

/// How long one question for output waits. Lower asks a quiet console too often, higher is longer
/// than links stay open without an answer.
const READ_WAIT: Duration = Duration::from_secs(20);

/// Keys sent in one message. A paste comes in pieces of it; more would delay the echo.
const INPUT_BYTES_MAX: usize = 4096;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The user pressed the escape key.
    Escaped,
    /// The guest is gone.
    Closed,
    /// There was none from the beginning; what it said when there was has been printed.
    NotRunning,
}

type Reading = BoxFuture<'static, Result<ConsoleChunk, ClientError>>;

fn read(client: &Client, instance: InstanceUuid, offset: u64) -> Reading {
    let client = client.clone();
    async move { client.read_console(instance, offset, READ_WAIT).await }.boxed()
}

/// Passes both directions on until one ends it. `escapes`: the escape key is looked for.
pub(super) async fn attach(
    ctx: &mut Context<'_>,
    client: &Client,
    instance: InstanceUuid,
    escapes: bool,
) -> Result<End, CommandError> {
    let mut offset = 0;
    let mut is_first = true;
    let mut reading = read(client, instance, offset);
    let mut typed = vec![0; INPUT_BYTES_MAX];
    let mut stdin_open = true;
    loop {
        tokio::select! {
            biased;
            chunk = &mut reading => {
                let chunk = chunk?;
                offset = print_chunk(ctx, &chunk, offset)?;
                if chunk.closed {
                    return Ok(if is_first { End::NotRunning } else { End::Closed });
                }
                is_first = false;
                reading = read(client, instance, offset);
            }
            n_read = ctx.io.stdin.read(&mut typed), if stdin_open => {
                let n_read = n_read.map_err(|source| {
                    use crate::error::{CommandErrorKind, Failure};
                    let failure = Failure::Stream { action: "read the input", source };
                    CommandError::new(CommandErrorKind::Failed, failure)
                })?;
                let (keys, escaped) = until_escape(&typed[..n_read], escapes);
                if !keys.is_empty() {
                    client.write_console(instance, keys.to_vec()).await?;
                }
                if escaped || (n_read == 0 && escapes) {
                    return Ok(End::Escaped);
                }
                // The end of piped input does not end the output.
                stdin_open = n_read > 0;
            }
        }
    }
}

/// The keys before the escape key, and whether it was there.
fn until_escape(typed: &[u8], escapes: bool) -> (&[u8], bool) {
    match typed.iter().position(|key| escapes && *key == ESCAPE) {
        Some(at) => (&typed[..at], true),
        None => (typed, false),
    }
}

/// Prints new output; returns where to read on.
fn print_chunk(
    ctx: &mut Context<'_>,
    chunk: &ConsoleChunk,
    offset: u64,
) -> Result<u64, CommandError> {
    if chunk.offset > offset && offset > 0 {
        let n_lost = chunk.offset - offset;
        ctx.warn(&format!("\r\n[{n_lost} bytes of output came too fast and are lost]\r"))?;
    }
    ctx.io.stdout.write_all(&chunk.bytes)?;
    ctx.io.stdout.flush()?;
    // A guest that was started anew counts from 0 again; so its offset, not ours, is taken.
    Ok(chunk.offset + chunk.bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_ends_the_input_only_at_a_terminal() {
        assert_eq!(until_escape(b"ab\x1dcd", true), (&b"ab"[..], true));
        assert_eq!(until_escape(b"ab\x1dcd", false), (&b"ab\x1dcd"[..], false));
        assert_eq!(until_escape(b"ab", true), (&b"ab"[..], false));
    }
}
