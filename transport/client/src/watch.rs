//! Following a job over reconnects and changes of leader.

use std::time::Duration;

use futures_util::Stream;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::messages::{JobChange, WAIT_MAX, WaitJob, cluster_path};
use gantry_model::units::Millis;

use crate::patience::Attempts;
use crate::{ATTEMPT_TIMEOUT, Client, ClientError, WATCH_PATIENCE};

/// One job, followed. No log line is told twice and none is left out, because each question names
/// the last line that is known.
#[derive(Debug)]
pub struct JobWatch {
    client: Client,
    job: JobId,
    known: Option<JobStatus>,
    log_after: u64,
    ended: bool,
}

impl JobWatch {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        Self { client, job, known: None, log_after: 0, ended: false }
    }

    /// Which job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The next change, or what the job is like after `wait` without one. `None` after its end.
    ///
    /// # Errors
    /// When the job does not exist, or nobody answers for [`WATCH_PATIENCE`]. The watch can be
    /// asked again after that.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<JobChange>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        let wait = wait.min(WAIT_MAX);
        let wait_ms = u64::try_from(wait.as_millis()).expect("at most WAIT_MAX");
        let message = WaitJob {
            job: self.job,
            known: self.known,
            log_after: self.log_after,
            wait: Millis(wait_ms),
        };
        // The receiver answers after `wait` at the latest; an attempt's time comes on top.
        let attempts = Attempts::new(WATCH_PATIENCE, wait + ATTEMPT_TIMEOUT);
        let change = self
            .client
            .ask_patiently(&cluster_path(), &message, None, attempts, |reply| {
                reply.map_err(ClientError::Fault)
            })
            .await?;
        Ok(Some(self.learn(change)))
    }

    /// The changes as a stream that ends with the job, or with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<JobChange, ClientError>> + Send {
        futures_util::stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            match watch.next(WAIT_MAX).await {
                Ok(Some(change)) => Some((Ok(change), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn learn(&mut self, mut change: JobChange) -> JobChange {
        change.log.retain(|line| line.serial > self.log_after);
        if let Some(last) = change.log.iter().map(|line| line.serial).max() {
            self.log_after = last;
        }
        self.known = Some(change.status);
        self.ended = change.status.is_final();
        change
    }
}
