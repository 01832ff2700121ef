//! `gantry job list` (C85)

use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::query::{Resource, Table};

use super::job_argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::listing::{list, show};
use crate::options::{ListArgs, UnitsArgs};
use crate::records::records;

pub(super) const DEFAULT_FIELDS: [&str; 3] = ["id", "status", "summary"];

/// List jobs and their states
///
/// Example: gantry job list --running -o +received_ts
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// List only these
    #[arg(value_name = "JOB", value_parser = job_argument)]
    jobs: Vec<JobId>,
    /// Archived jobs too, the newest of them (slow)
    #[arg(long)]
    archived: bool,
    #[command(flatten)]
    filter: StatusArgs,
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
    fn is_given(self) -> bool {
        self.pending || self.running || self.error || self.finished
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
    let names: Vec<String> = args.jobs.iter().map(ToString::to_string).collect();
    let units = UnitsArgs::default();
    if !args.filter.is_given() && !args.archived {
        return list(ctx, Resource::Job, &names, &DEFAULT_FIELDS, &args.list, units).await;
    }
    // One question, so that no job changes its state between the choice and the answer: the state
    // is asked for as well and taken away again.
    let client = ctx.client().await?;
    let mut fields = args.list.fields(&DEFAULT_FIELDS);
    let all = fields.is_empty();
    if !all && args.filter.is_given() {
        fields.push("status".to_owned());
    }
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut table = match args.archived {
        true => client.query_archived(&fields, &names).await?,
        false => client.query(Resource::Job, &fields, &names).await?,
    };
    if !args.filter.is_given() {
        return show(ctx, &table, &args.list, units);
    }
    keep(&mut table, args.filter);
    if !all {
        table.fields.pop();
        for row in &mut table.rows {
            row.pop();
        }
    }
    show(ctx, &table, &args.list, units)
}

fn keep(table: &mut Table, filter: StatusArgs) {
    let wanted: Vec<bool> = records(table)
        .map(|job| {
            let word = job.text("status");
            JobStatus::ALL.into_iter().any(|s| s.as_str() == word && filter.wants(s))
        })
        .collect();
    let mut wanted = wanted.into_iter();
    table.rows.retain(|_| wanted.next().unwrap_or_default());
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
