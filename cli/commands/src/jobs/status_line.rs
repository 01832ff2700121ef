//! One line on a terminal that says what a job does while nothing else is said of it.
//!
//! Where it stands, and that it is gone before anything else is printed, is the context's matter;
//! where nobody looks (no terminal, `--json`) it never is.

use std::time::Duration;

use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::error::CommandError;

/// Between two looks of the line, and before the first. Lower flickers behind jobs that are done at
/// once, higher leaves people wondering.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Which of how many jobs is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Counted from one.
    pub nth: usize,
    /// All of them.
    pub n_jobs: usize,
}

impl Place {
    /// The only one.
    pub(crate) const ALONE: Self = Self { nth: 1, n_jobs: 1 };
}

/// The line.
pub(super) struct StatusLine {
    began: Instant,
    next: Instant,
    is_on: bool,
}

impl StatusLine {
    /// Not shown before [`STATUS_EVERY`], and never where nobody looks.
    pub(super) fn begin(ctx: &Context<'_>, quiet: bool) -> Self {
        let began = Instant::now();
        let is_on = ctx.io.stderr_is_terminal && !ctx.json() && !quiet;
        Self { began, next: began + STATUS_EVERY, is_on }
    }

    /// Ends when the line is to be drawn.
    pub(super) async fn is_due(&self) {
        match self.is_on {
            true => sleep_until(self.next).await,
            false => std::future::pending().await,
        }
    }

    /// Shows what the job does.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(
        &mut self,
        ctx: &mut Context<'_>,
        (job, place): (JobId, Place),
        (status, waits_for): (Option<JobStatus>, Option<&str>),
    ) -> Result<(), CommandError> {
        let Place { nth, n_jobs } = place;
        let of = if n_jobs > 1 { format!("[{nth}/{n_jobs}] ") } else { String::new() };
        let what = status.map_or("submitted", |status| status.as_str());
        let waits = waits_for.map(|what| format!(" for {what}")).unwrap_or_default();
        let waited = self.began.elapsed().as_secs();
        let text = format!("{of}job {job}: {waited} s, {what}{waits}");
        self.next = Instant::now() + STATUS_EVERY;
        ctx.show_status(&text)
    }
}
