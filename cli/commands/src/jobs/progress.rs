//! Following a job: its log lines, notices when it waits for long (C215), and on a terminal a line
//! that says what it does meanwhile.

use std::time::Duration;

use gantry_client::Client;
use gantry_model::errors::Fault;
use gantry_model::ids::JobId;
use gantry_model::jobs::{JobStatus, LogKind, LogLine};
use gantry_model::messages::{JobChange, WAIT_MAX};
use serde_json::{Value, json};

use super::status_line::{Place, StatusLine};
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::error_text::failure_lines;
use crate::output::json::{fault_document, log_document};
use crate::output::time::format_log_time;

/// Silence after which it is said what a job waits for. Lower says it of jobs that only queue
/// behind a short one; higher leaves people wondering.
pub(super) const NOTICE_AFTER: Duration = Duration::from_secs(5);

const _: () = assert!(NOTICE_AFTER.as_secs() < WAIT_MAX.as_secs());

/// How a job ended, with its whole log.
#[derive(Clone, Debug)]
pub(crate) struct JobEnd {
    /// Which.
    pub job: JobId,
    /// A final state.
    pub status: JobStatus,
    /// Why it failed, if it failed.
    pub fault: Option<Fault>,
    /// What its opcodes answered, if it succeeded.
    pub results: Vec<Value>,
    /// All lines.
    pub log: Vec<LogLine>,
}

impl JobEnd {
    /// The failure that it is, if it is one.
    ///
    /// # Errors
    /// When the job did not succeed.
    pub(crate) fn into_result(self) -> Result<Self, CommandError> {
        match (self.status, self.fault.clone()) {
            (JobStatus::Canceled, _) => {
                let canceled = Failure::JobCanceled { job: self.job };
                Err(CommandError::new(CommandErrorKind::Failed, canceled))
            }
            (JobStatus::Error, Some(fault)) => Err(CommandError::job(self.job, fault)),
            (JobStatus::Error, None) => {
                let text = format!("job {} failed and does not say why", self.job);
                Err(CommandError::new(CommandErrorKind::Internal, Failure::Bug(text)))
            }
            _ => Ok(self),
        }
    }

    /// For `--json`.
    #[must_use]
    pub(crate) fn document(&self) -> Value {
        json!({
            "job": self.job,
            "status": self.status.as_str(),
            "results": self.results,
            "fault": self.fault.as_ref().map(fault_document),
            "log": log_document(&self.log),
        })
    }
}

/// Whether a job did what it should.
#[must_use]
pub(crate) fn is_success(end: &JobEnd) -> bool {
    end.status == JobStatus::Success
}

/// Why a job did not succeed, as text without hints.
pub(crate) fn failure_of(end: JobEnd) -> String {
    match end.into_result() {
        Ok(_) => String::new(),
        Err(error) => failure_lines(&error.error).join("\n"),
    }
}

/// Waits for the end of a job; says its log lines and, after a silence, what it waits for, unless
/// `quiet`. On a terminal the line in between says at which `place` among all of them it is.
///
/// # Errors
/// When the job does not exist, nobody answers, or the output cannot be written.
pub(crate) async fn follow(
    ctx: &mut Context<'_>,
    client: &Client,
    (job, place): (JobId, Place),
    quiet: bool,
) -> Result<JobEnd, CommandError> {
    let mut watch = client.watch(job);
    let mut notices = Notices::default();
    let mut status_line = StatusLine::begin(ctx, quiet);
    let (mut status, mut waits_for) = (None, None);
    let mut log = Vec::new();
    let mut wait = NOTICE_AFTER;
    loop {
        let mut next = std::pin::pin!(watch.next(wait));
        let change = loop {
            tokio::select! {
                biased;
                change = &mut next => break change,
                () = status_line.is_due() => {
                    let now: (_, Option<&str>) = (status, waits_for.as_deref());
                    status_line.draw(ctx, (job, place), now)?;
                }
            }
        };
        let Some(change) = change? else { break };
        (status, waits_for) = (Some(change.status), change.waits_for.clone());
        if !quiet {
            for line in &change.log {
                let time = format_log_time(line.at, &ctx.io.time_zone);
                ctx.say(&format!("{time} {}", line_text(line)))?;
            }
            if change.log.is_empty() {
                for notice in notices.after_silence(job, &change) {
                    ctx.warn(&notice)?;
                }
            }
        }
        // Who has said what it waits for need not be in a hurry to say it again.
        wait = if notices.is_over() { WAIT_MAX } else { NOTICE_AFTER };
        log.extend(change.log);
        if change.status.is_final() {
            let JobChange { status, fault, results, .. } = change;
            return Ok(JobEnd { job, status, fault, results, log });
        }
    }
    let text = format!("the watch of job {job} ended before the job");
    Err(CommandError::new(CommandErrorKind::Internal, Failure::Bug(text)))
}

/// The text with what its kind puts in front.
fn line_text(line: &LogLine) -> String {
    match line.kind {
        LogKind::Message => line.text.clone(),
        LogKind::Info => format!(" - INFO: {}", line.text),
        LogKind::Warning => format!(" - WARNING: {}", line.text),
        // As the arguments of a call, for programs.
        LogKind::DelayTest => format!("['{}']", line.text),
    }
}

/// Notices that have been given: each only once.
#[derive(Debug, Default)]
struct Notices {
    known: Option<JobStatus>,
    queued: bool,
    waiting: bool,
}

impl Notices {
    fn is_over(&self) -> bool {
        self.waiting
    }

    /// What to say of a job that is still in the state it was in.
    fn after_silence(&mut self, job: JobId, change: &JobChange) -> Vec<String> {
        let silent = self.known == Some(change.status);
        self.known = Some(change.status);
        if !silent {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if change.status == JobStatus::Queued && !self.queued {
            self.queued = true;
            lines.push(format!("Job {job} is waiting in queue"));
        }
        if change.status == JobStatus::Waiting && !self.waiting {
            self.waiting = true;
            lines.push(format!("Job {job} is trying to acquire all necessary locks"));
            if let Some(what) = &change.waits_for {
                lines.push(format!("Job {job} waits for {what}"));
            }
        }
        lines
    }
}
