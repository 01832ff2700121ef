//! A runner that notes what went through it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::command::{Command, CommandError, Output};
use crate::process::ProcessIdentity;
use crate::runner::CommandRunner;

/// A command that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was run.
    pub command: Command,
    /// What it gave, or the text of its error.
    pub result: Result<Output, String>,
}

/// Passes everything on to another runner and keeps a record; clones share the record.
#[derive(Clone)]
pub struct RecordingRunner {
    inner: Arc<dyn CommandRunner>,
    record: Arc<Mutex<Vec<Recorded>>>,
}

impl RecordingRunner {
    /// Around another runner.
    pub fn new(inner: impl CommandRunner) -> Self {
        Self { inner: Arc::new(inner), record: Arc::default() }
    }

    /// Everything that has ended, in the order of its end.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, command: Command, result: Result<Output, String>) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(Recorded { command, result });
    }
}

impl CommandRunner for RecordingRunner {
    fn run(&self, command: Command) -> BoxFuture<'_, Result<Output, CommandError>> {
        Box::pin(async move {
            let result = self.inner.run(command.clone()).await;
            self.keep(command, result.as_ref().map(Clone::clone).map_err(ToString::to_string));
            result
        })
    }

    fn spawn_daemon(
        &self,
        command: Command,
        log: &Path,
    ) -> BoxFuture<'_, Result<ProcessIdentity, CommandError>> {
        let log = log.to_owned();
        Box::pin(async move {
            let result = self.inner.spawn_daemon(command.clone(), &log).await;
            let kept = result.as_ref().map(|_| Output::default()).map_err(ToString::to_string);
            self.keep(command, kept);
            result
        })
    }
}
