//! Running programs for real.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use crate::command::{Command, CommandError, ExitStatus, OUTPUT_BYTES_MAX, Output, tail};
use crate::process::ProcessIdentity;

/// How long we read on after a program has ended, when a child of it holds its outputs open. Lower
/// may cut the output of a pipeline; higher delays every command that leaves a child behind.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// Bytes taken from a pipe at once; an eighth of what Linux keeps in one.
const READ_BYTES: usize = 8192;

/// Something that runs programs.
pub trait CommandRunner: Send + Sync + 'static {
    /// Runs a program to its end. Dropping the future kills it.
    ///
    /// # Errors
    /// When it cannot be started, fails, takes too long or says too much.
    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, CommandError>>;

    /// Starts a program that goes on when we end: in its own process group (so that a signal to our
    /// terminal's group does not reach it), no input, its outputs appended to `log`. Its deadline
    /// means nothing.
    ///
    /// # Errors
    /// When it cannot be started or has ended at once.
    fn spawn_daemon(
        &self,
        command: Command,
        log: &Path,
    ) -> BoxFuture<'_, Result<ProcessIdentity, CommandError>>;
}

/// Runs programs on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealRunner;

impl CommandRunner for RealRunner {
    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, CommandError>> {
        Box::pin(run(command))
    }

    fn spawn_daemon(
        &self,
        command: Command,
        log: &Path,
    ) -> BoxFuture<'_, Result<ProcessIdentity, CommandError>> {
        let log = log.to_owned();
        Box::pin(async move { spawn_daemon(&command, &log) })
    }
}

fn prepare(command: &Command) -> Result<tokio::process::Command, CommandError> {
    if !command.program().is_absolute() {
        return Err(CommandError::NotAbsolute { program: command.program().to_owned() });
    }
    #[expect(clippy::disallowed_methods, reason = "the one place where programs are started")]
    let mut os = tokio::process::Command::new(command.program());
    os.args(command.arguments())
        .env_clear()
        .envs(command.environment())
        .current_dir(command.directory())
        .stdin(Stdio::null())
        .process_group(0);
    Ok(os)
}

fn cannot_start(command: &Command, source: std::io::Error) -> CommandError {
    // The directory may be what is missing, therefore the second question.
    if source.kind() == std::io::ErrorKind::NotFound && !command.program().exists() {
        return CommandError::NotFound { program: command.program().to_owned() };
    }
    CommandError::CannotStart { command_line: command.line(), source }
}

fn spawn_daemon(command: &Command, log: &Path) -> Result<ProcessIdentity, CommandError> {
    let failed = |source| CommandError::CannotStart { command_line: command.line(), source };
    let stdout = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let stderr = stdout.try_clone().map_err(failed)?;
    let mut os = prepare(command)?;
    os.stdout(stdout).stderr(stderr).kill_on_drop(false);
    let child = os.spawn().map_err(|source| cannot_start(command, source))?;
    let ended = || failed(std::io::Error::other("it ended at once; its log tells why"));
    let pid = child.id().ok_or_else(ended)?;
    // Tokio reaps the child when it ends, although nobody waits for it.
    drop(child);
    ProcessIdentity::of(pid)
        .map_err(|error| failed(std::io::Error::other(error)))?
        .ok_or_else(ended)
}

async fn run(command: Command) -> Result<Output, CommandError> {
    let mut os = prepare(&command)?;
    os.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    tracing::debug!(command = command.line(), "running a program");
    let mut child = os.spawn().map_err(|source| cannot_start(&command, source))?;
    let group = child.id();
    let mut stdout = Captured::default();
    let mut stderr = Captured::default();
    let ended = tokio::time::timeout(
        command.deadline(),
        wait_and_read(&mut child, &mut stdout, &mut stderr),
    );
    let status = match ended.await {
        Ok(Ok(status)) => status,
        Ok(Err(source)) => {
            return Err(CommandError::Lost { command_line: command.line(), source });
        }
        Err(_) => {
            kill_group(group, &mut child).await;
            return Err(CommandError::TimedOut {
                command_line: command.line(),
                timeout: command.deadline(),
                stdout_tail: tail(&stdout.bytes),
                stderr_tail: tail(&stderr.bytes),
            });
        }
    };
    if stdout.overflowed || stderr.overflowed {
        return Err(CommandError::OutputTooLong { command_line: command.line() });
    }
    if status.success() {
        return Ok(Output { stdout: stdout.bytes, stderr: stderr.bytes });
    }
    let status = match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or_default()),
    };
    Err(CommandError::Failed {
        command_line: command.line(),
        status,
        stdout_tail: tail(&stdout.bytes),
        stderr_tail: tail(&stderr.bytes),
    })
}

async fn wait_and_read(
    child: &mut Child,
    stdout: &mut Captured,
    stderr: &mut Captured,
) -> std::io::Result<std::process::ExitStatus> {
    let pipes = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(stdout.read(pipes.0), stderr.read(pipes.1)) };
    tokio::pin!(reading);
    tokio::select! {
        biased;
        _ = &mut reading => child.wait().await,
        status = child.wait() => {
            // Over the time, what was read so far is what there is.
            let _cut = tokio::time::timeout(PIPE_GRACE, reading).await;
            status
        }
    }
}

/// Kills the program with its children, and waits for its end so that no zombie is left.
async fn kill_group(group: Option<u32>, child: &mut Child) {
    if let Some(pid) = group.and_then(|pid| i32::try_from(pid).ok())
        && let Err(error) = killpg(Pid::from_raw(pid), Signal::SIGKILL)
    {
        tracing::debug!(pid, %error, "a program that took too long had ended already");
    }
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "could not wait for a killed program");
    }
}

/// An output as far as it was read.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Captured {
    /// Reads to the end; beyond the limit it reads on without keeping, so that the program can end.
    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut piece = [0; READ_BYTES];
        while let Ok(n_bytes) = pipe.read(&mut piece).await {
            if n_bytes == 0 {
                break;
            }
            if self.bytes.len() + n_bytes > OUTPUT_BYTES_MAX {
                self.overflowed = true;
            } else {
                self.bytes.extend_from_slice(&piece[..n_bytes]);
            }
        }
    }
}
