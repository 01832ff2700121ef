//! How long does a job that does nothing take, and how many of them fit into a second?
//!
//! A real daemon on a real disk; every job is durable at its submission, its start and its end. It
//! contains a wait of one millisecond.

use crate::daemon_rig::{Rig, block_on, no_op};
use crate::fsync_floor::FsyncFloor;
use crate::harness::{Budget, Figure, Options, median, percentile};

const ONE_BY_ONE: usize = 200;
/// Jobs and appends take turns in groups of so many.
const GROUP: usize = 10;
const AT_ONCE: usize = 1_000;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let rig = Rig::start().await?;
        let mut figures = one_by_one(&rig, options.repeats(ONE_BY_ONE)).await?;
        figures.extend(at_once(&rig, options).await?);
        Ok(figures)
    })
}

async fn one_by_one(rig: &Rig, n: usize) -> anyhow::Result<Vec<Figure>> {
    let mut floor = FsyncFloor::start(rig.dir())?;
    rig.one_job_ms(no_op()).await?;
    let (mut jobs, mut job_groups, mut floor_groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut all_appends = Vec::new();
    for _ in 0..n.div_ceil(GROUP) {
        let mut appends = Vec::with_capacity(GROUP);
        for _ in 0..GROUP {
            appends.push(floor.append_ms()?);
        }
        let mut some = Vec::with_capacity(GROUP);
        for _ in 0..GROUP {
            some.push(rig.one_job_ms(no_op()).await?);
        }
        floor_groups.push(median(&appends));
        all_appends.extend(appends);
        job_groups.push(median(&some));
        jobs.extend(some);
    }
    let floor = ("append and fdatasync of 200 B", floor_groups.as_slice());
    let what = "no-op job, submit to done";
    Ok(vec![
        Figure {
            ours: median(&jobs),
            ..Figure::of_passes(format!("{what}, p50 of {}", jobs.len()), "ms", &job_groups, floor)
        }
        .budget(Budget::Max(10.0)),
        Figure::alone(format!("{what}, p99"), "ms", percentile(&jobs, 99)),
        // A job waits for some of them: how slow the disk is at times is how slow jobs are.
        Figure::alone("append and fdatasync, p99", "ms", percentile(&all_appends, 99)),
    ])
}

async fn at_once(rig: &Rig, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let n = options.repeats(AT_ONCE);
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..options.passes(5) {
        let before = rig.daemon_cpu_us()?;
        let ms = rig.many_jobs_ms(vec![no_op(); n]).await?;
        rates.push(n as f64 * 1e3 / ms);
        cpu.push((rig.daemon_cpu_us()? - before) / n as f64);
    }
    Ok(vec![
        Figure::alone(format!("no-op jobs, {n} in a batch"), "jobs/s", median(&rates))
            .budget(Budget::Min(1_000.0)),
        Figure::alone("CPU of the daemon for each of them", "us", median(&cpu)),
    ])
}
