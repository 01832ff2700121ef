//! A runner that runs nothing: it answers from a script.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::command::{Command, CommandError, Output};
use crate::process::ProcessIdentity;
use crate::runner::CommandRunner;

enum Answer {
    Run(Result<Output, CommandError>),
    Daemon(Result<ProcessIdentity, CommandError>),
}

struct Line {
    command_line: String,
    answer: Answer,
}

/// Expects commands in the order of its script and answers as written there; clones share the
/// script. Anything else is an error that says what was next.
#[derive(Clone, Default)]
pub struct ScriptedRunner {
    script: Arc<Mutex<VecDeque<Line>>>,
}

impl ScriptedRunner {
    /// An empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Next comes this command ([`Command::line`]), which ends so.
    #[must_use]
    pub fn run_line(
        self,
        command_line: impl Into<String>,
        result: Result<Output, CommandError>,
    ) -> Self {
        self.push(command_line.into(), Answer::Run(result));
        self
    }

    /// Next comes this command, which prints this text and succeeds.
    #[must_use]
    pub fn prints(self, command_line: impl Into<String>, stdout: &str) -> Self {
        let output = Output { stdout: stdout.into(), stderr: Vec::new() };
        self.run_line(command_line, Ok(output))
    }

    /// Next this program is left running, as this process.
    #[must_use]
    pub fn daemon_line(
        self,
        command_line: impl Into<String>,
        result: Result<ProcessIdentity, CommandError>,
    ) -> Self {
        self.push(command_line.into(), Answer::Daemon(result));
        self
    }

    /// What is still expected.
    #[must_use]
    pub fn remaining(&self) -> Vec<String> {
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.iter().map(|line| line.command_line.clone()).collect()
    }

    fn push(&self, command_line: String, answer: Answer) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.push_back(Line { command_line, answer });
    }

    fn take(&self, command: &Command, daemon: bool) -> Result<Answer, CommandError> {
        let command_line = command.line();
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |line: &Line| {
            line.command_line == command_line && matches!(line.answer, Answer::Daemon(_)) == daemon
        };
        match script.pop_front() {
            Some(line) if fits(&line) => Ok(line.answer),
            Some(line) => {
                let expected = line.command_line.clone();
                script.push_front(line);
                Err(CommandError::Unscripted { command_line, expected })
            }
            None => Err(CommandError::Unscripted { command_line, expected: "nothing".into() }),
        }
    }
}

impl CommandRunner for ScriptedRunner {
    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, CommandError>> {
        Box::pin(async move {
            match self.take(&command, false)? {
                Answer::Run(result) => result,
                Answer::Daemon(_) => unreachable!("take() checked the kind"),
            }
        })
    }

    fn spawn_daemon(
        &self,
        command: Command,
        _log: &Path,
    ) -> BoxFuture<'_, Result<ProcessIdentity, CommandError>> {
        Box::pin(async move {
            match self.take(&command, true)? {
                Answer::Daemon(result) => result,
                Answer::Run(_) => unreachable!("take() checked the kind"),
            }
        })
    }
}
