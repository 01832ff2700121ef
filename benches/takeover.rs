//! How long does nobody answer when the master dies, is paused, or hands over, and is anything
//! acknowledged lost or done twice?
//!
//! Three daemons on real disks that vote. Four clients submit jobs without pause at a daemon that
//! stays; what is measured is the longest time between two acknowledged submissions. Afterwards
//! every acknowledged job must have succeeded, and there must be no other.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use gantry_client::Client;
use gantry_model::ids::JobId;
use gantry_model::jobs::JobStatus;
use gantry_model::query::{Cell, Resource};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::daemon_rig::block_on;
use crate::harness::{Budget, Figure, Options, median, percentile};
use crate::submitters::{Submitters, gap_ms};
use crate::voters_rig::Voters;

const VOTERS: usize = 3;
const SUBMITTERS: usize = 4;
/// Load before and after; what comes within it is not counted.
const LOAD: Duration = Duration::from_millis(700);
/// A job of a millisecond that has not ended after so long is lost.
const END_WAIT: Duration = Duration::from_secs(60);
/// Between looks whether all have ended.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Jobs in one question; a reply with more of them would not fit into a frame.
const JOBS_ASKED: usize = 500;

/// What happens to the master.
#[derive(Clone, Copy)]
enum Trouble {
    Killed,
    Paused,
    HandsOver,
}

impl Trouble {
    const ALL: [Self; 3] = [Self::Killed, Self::Paused, Self::HandsOver];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9 of the master",
            Self::Paused => "SIGSTOP of the master",
            Self::HandsOver => "master-failover",
        }
    }
}

struct Pass {
    gap_ms: f64,
    n_jobs: usize,
    lost: usize,
    repeated: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let mut rig = Voters::start(VOTERS).await?;
        let mut figures = Vec::new();
        for trouble in Trouble::ALL {
            let mut passes = Vec::new();
            for _ in 0..options.passes(20) {
                let pass = pass(&mut rig, trouble).await;
                passes.push(pass.with_context(|| trouble.name())?);
            }
            figures.extend(shown(trouble, &passes));
        }
        Ok(figures)
    })
}

fn shown(trouble: Trouble, passes: &[Pass]) -> Vec<Figure> {
    let what = trouble.name();
    let gaps: Vec<f64> = passes.iter().map(|pass| pass.gap_ms).collect();
    let sum = |of: fn(&Pass) -> usize| passes.iter().map(of).sum::<usize>() as f64;
    let none = Budget::Max(0.0);
    vec![
        Figure::alone(format!("{what}, no answer for, p50 of {}", gaps.len()), "ms", median(&gaps))
            .budget(Budget::Max(2_000.0)),
        Figure::alone(format!("{what}, at most"), "ms", percentile(&gaps, 100)),
        Figure::alone(format!("{what}, jobs acknowledged"), "jobs", sum(|pass| pass.n_jobs)),
        Figure::alone(format!("{what}, lost"), "jobs", sum(|pass| pass.lost)).budget(none),
        Figure::alone(format!("{what}, repeated"), "jobs", sum(|pass| pass.repeated)).budget(none),
    ]
}

async fn pass(rig: &mut Voters, trouble: Trouble) -> anyhow::Result<Pass> {
    let any = rig.client_at(0).await?;
    rig.until_all_vote(&any).await?;
    let old = rig.master(&any).await?;
    let (door, heir) = (rig.another(old), rig.another(rig.another(old)));
    let client = rig.client_at(door).await?;
    let before = all_jobs(&client).await?;
    let submitters = Submitters::start(&client, SUBMITTERS);
    tokio::time::sleep(LOAD).await;
    let cut = Instant::now();
    match trouble {
        Trouble::Killed => rig.kill(old)?,
        Trouble::Paused => rig.signal(old, Signal::SIGSTOP)?,
        Trouble::HandsOver => {
            let heir = client.node_uuid(rig.name(heir)).await?;
            client.fail_master_over(heir).await?;
        }
    }
    while rig.master(&client).await? == old {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    tokio::time::sleep(LOAD).await;
    let acks = submitters.end().await?;
    match trouble {
        Trouble::Killed => rig.restart(old).await?,
        Trouble::Paused => rig.signal(old, Signal::SIGCONT)?,
        Trouble::HandsOver => {}
    }
    let jobs: BTreeSet<JobId> = acks.iter().map(|ack| ack.job).collect();
    let lost = not_successful(&client, &jobs).await?;
    let known: BTreeSet<JobId> = before.union(&jobs).copied().collect();
    let repeated = all_jobs(&client).await?.difference(&known).count();
    Ok(Pass { gap_ms: gap_ms(&acks, cut), n_jobs: jobs.len(), lost, repeated })
}

async fn all_jobs(client: &Client) -> anyhow::Result<BTreeSet<JobId>> {
    let table = client.query(Resource::Job, &["id"], &[]).await?;
    let ids = table.rows.iter().filter_map(|row| match row.first() {
        Some(Cell::Value(value)) => value.as_u64().map(JobId),
        _ => None,
    });
    Ok(ids.collect())
}

/// How many have not ended with success, although there was time.
async fn not_successful(client: &Client, jobs: &BTreeSet<JobId>) -> anyhow::Result<usize> {
    let until = Instant::now() + END_WAIT;
    let all: Vec<JobId> = jobs.iter().copied().collect();
    loop {
        let mut open = 0;
        for some in all.chunks(JOBS_ASKED) {
            let records = client.jobs(some.to_vec()).await?;
            open += records.iter().filter(|job| job.status() != JobStatus::Success).count();
        }
        if open == 0 || Instant::now() > until {
            return Ok(open);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
