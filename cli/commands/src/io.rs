//! Everything that a command has from its surroundings: so that commands run in tests as they do in
//! terminals.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_model::units::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::AsyncRead;

use crate::terminal::{RealTerminal, Terminal};

/// Streams, environment, clock and terminal of one command.
pub struct Io {
    /// Where results go.
    pub stdout: Box<dyn Write + Send>,
    /// Where everything else goes.
    pub stderr: Box<dyn Write + Send>,
    /// Where answers and console input come from.
    pub stdin: Box<dyn AsyncRead + Send + Unpin>,
    /// Whether somebody can answer.
    pub stdin_is_terminal: bool,
    /// Whether results are read by a person.
    pub stdout_is_terminal: bool,
    /// Whether errors are read by a person.
    pub stderr_is_terminal: bool,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
    /// This program, for links to it.
    pub program: Option<PathBuf>,
    /// This process, for the log of commands.
    pub pid: u32,
    /// The present time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The local time zone.
    pub time_zone: TimeZone,
    /// The terminal at stdin.
    pub terminal: Arc<dyn Terminal>,
    /// Ends when the user presses Ctrl-C.
    pub interrupt: BoxFuture<'static, ()>,
    /// Begins to log at this level of `--debug`.
    pub start_logging: Arc<dyn Fn(u8) + Send + Sync>,
}

impl Io {
    /// The surroundings of this process. `start_logging` is called at most once.
    #[must_use]
    pub fn real(start_logging: Arc<dyn Fn(u8) + Send + Sync>) -> Self {
        Self {
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            stdin: Box::new(tokio::io::stdin()),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            env: std::env::vars_os().collect(),
            program: std::env::current_exe().ok(),
            pid: std::process::id(),
            now: Arc::new(real_now),
            time_zone: TimeZone::system(),
            terminal: Arc::new(RealTerminal),
            interrupt: tokio::signal::ctrl_c()
                .then(|caught| async move {
                    // Without a handler, Ctrl-C ends the process as it always does.
                    if caught.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
                .boxed(),
            start_logging,
        }
    }

    /// A variable of the environment; one that is empty counts as absent.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsString> {
        self.env.get(&OsString::from(name)).filter(|value| !value.is_empty())
    }

    /// Whether errors may be coloured (<https://no-color.org>).
    #[must_use]
    pub fn stderr_is_coloured(&self) -> bool {
        self.stderr_is_terminal && self.var("NO_COLOR").is_none()
    }
}

/// The one real clock of commands; they only stamp reasons with it.
fn real_now() -> Timestamp {
    let micros = jiff::Timestamp::now().as_microsecond();
    Timestamp(u64::try_from(micros).unwrap_or_default())
}
