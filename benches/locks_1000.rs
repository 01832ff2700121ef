//! How long does the lock table take to grant a set of 1,000 locks?

use std::collections::BTreeMap;
use std::hint::black_box;

use anyhow::bail;
use gantry_engine::locking::{LockEffect, LockEvent, LockTable};
use gantry_model::ids::{JobAttempt, JobId};
use gantry_model::locks::{LockChange, LockLevel, LockMember, LockMode, LockName};

use crate::harness::{Budget, Figure, Options, us_of};

const SET: u64 = 1_000;
/// Held by others meanwhile, in the larger table.
const HELD: u64 = 20_000;
/// The job that is measured.
const JOB: JobId = JobId(1_000_000);

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let n_passes = options.passes(101);
    let mut figures = Vec::new();
    for (beside, n_held) in [("in an empty table", 0), ("beside 20,000 held", HELD)] {
        let mut table = LockTable::default();
        for job in 0..n_held / SET {
            granted(&table.step(acquire(JobId(job + 1), job * SET)))?;
        }
        let (mut grants, mut releases, mut maps) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n_passes {
            let event = acquire(JOB, n_held);
            let (us, effects) = us_of(|| table.step(event));
            granted(&effects)?;
            grants.push(us);
            drop(effects);
            let (us, effects) = us_of(|| table.step(LockEvent::Release { job: JOB }));
            if !effects.is_empty() {
                bail!("a release that nobody waits for was told to somebody");
            }
            releases.push(us);
            let names: Vec<LockName> = (n_held..n_held + SET).map(name).collect();
            let (us, map) = us_of(|| names.into_iter().map(|name| (name, JOB)).collect());
            drop(black_box::<BTreeMap<LockName, JobId>>(map));
            maps.push(us);
        }
        let peer = ("a BTreeMap of as many", maps.as_slice());
        figures.push(
            Figure::of_passes(format!("1,000 locks granted {beside}"), "us", &grants, peer)
                .budget(Budget::Max(1_000.0)),
        );
        figures.push(Figure::of_passes(format!("and released {beside}"), "us", &releases, peer));
    }
    Ok(figures)
}

fn name(number: u64) -> LockName {
    // Spread, as ids are: names in order would flatter an ordered map.
    let text = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    LockName { level: LockLevel::Node, member: LockMember::One(text) }
}

fn acquire(job: JobId, from: u64) -> LockEvent {
    let hold = LockChange::Hold(LockMode::Exclusive);
    let changes = (from..from + SET).map(|number| (name(number), hold)).collect();
    LockEvent::Acquire { job, attempt: JobAttempt(1), priority: 0, changes }
}

fn granted(effects: &[LockEffect]) -> anyhow::Result<()> {
    match effects {
        [LockEffect::Granted { held, .. }] if held.len() as u64 == SET => Ok(()),
        other => bail!("the set was not granted at once: {} effects", other.len()),
    }
}
