//! `gantry job list` (C85)

use gantry_model::jobs::JobStatus;
use gantry_model::query::{Filter, FilterValue, Resource};

use crate::context::Context;
use crate::error::CommandError;
use crate::listing::{Listing, list};
use crate::options::{FilterArgs, ListArgs, UnitsArgs};
use crate::parse::filter::{NamedBy, wanted};

pub(super) const DEFAULT_FIELDS: [&str; 3] = ["id", "status", "summary"];

/// List jobs and their states
///
/// The fields are id, status and summary, unless -o says otherwise; `gantry job list-fields` has
/// all.
///
/// Example: gantry job list --running -o +received_ts
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these: numbers, or one filter
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// List archived jobs too, the newest of them, and say which these are (slow)
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    status: StatusArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    list: ListArgs,
}

/// Which states are wanted; several add up.
#[derive(Clone, Copy, Debug, clap::Args)]
struct StatusArgs {
    /// Only those that have not begun, or are being canceled
    #[arg(long)]
    pending: bool,
    /// Only those that run
    #[arg(long)]
    running: bool,
    /// Only those that failed
    #[arg(long)]
    error: bool,
    /// Only those that have ended, in any way
    #[arg(long)]
    finished: bool,
}

impl StatusArgs {
    /// Those that are wanted, if any option was given.
    fn filter(self) -> Option<Filter> {
        let given = self.pending || self.running || self.error || self.finished;
        let wanted = JobStatus::ALL.into_iter().filter(|status| self.wants(*status));
        let words = wanted.map(|status| FilterValue::Text(status.as_str().to_owned()));
        given.then(|| Filter::one_of("status", words))
    }

    fn wants(self, status: JobStatus) -> bool {
        let by_state = match status {
            JobStatus::Queued | JobStatus::Waiting | JobStatus::Canceling => self.pending,
            JobStatus::Running => self.running,
            JobStatus::Error => self.error,
            JobStatus::Canceled | JobStatus::Success => false,
        };
        by_state || (self.finished && status.is_final())
    }
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let wanted = wanted(&args.jobs, args.filter.force_filter, NamedBy::JobId)?;
    let listing = Listing {
        resource: Resource::Job,
        wanted,
        only: args.status.filter(),
        archived: args.archived,
        default_fields: &DEFAULT_FIELDS,
        args: &args.list,
        units: UnitsArgs::default(),
    };
    list(ctx, listing).await
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C85
    #[test]
    fn filters_add_up() {
        let none = StatusArgs { pending: false, running: false, error: false, finished: false };
        let wanted = |args: StatusArgs| {
            let wanted = JobStatus::ALL.into_iter().filter(move |status| args.wants(*status));
            wanted.map(JobStatus::as_str).collect::<Vec<_>>()
        };
        let pending = StatusArgs { pending: true, ..none };
        assert_eq!(wanted(pending), ["queued", "waiting", "canceling"]);
        let finished = StatusArgs { finished: true, ..none };
        assert_eq!(wanted(finished), ["canceled", "success", "error"]);
        let two = StatusArgs { running: true, error: true, ..none };
        assert_eq!(wanted(two), ["running", "error"]);
        assert_eq!(wanted(none), Vec::<&str>::new());
    }
}
