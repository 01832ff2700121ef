//! Does a change of the configuration cost more in a larger cluster?
//!
//! The change is a shutdown and a start of one fake guest, each of which marks the instance in the
//! configuration. Beside it runs the job that changes nothing.

use crate::daemon_rig::{Rig, block_on, no_op, start, stop};
use crate::harness::{Budget, Figure, Options, median};

const INSTANCES: usize = 1_000;
const GROUP: usize = 5;
/// Independent of the number of objects, within what two runs of the same differ on a busy machine.
const GROWTH_MAX: f64 = 1.25;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let (small, large) = (Rig::start().await?, Rig::start().await?);
        let n = options.repeats(INSTANCES);
        small.add_instances(0, 1).await?;
        large.add_instances(0, n).await?;
        let mut of_small = [const { Vec::new() }; 3];
        let mut of_large = [const { Vec::new() }; 3];
        for _ in 0..options.passes(20) {
            for (rig, all) in [(&small, &mut of_small), (&large, &mut of_large)] {
                for (all, one) in all.iter_mut().zip(pass(rig).await?) {
                    all.push(one);
                }
            }
        }
        let at_one = |n: usize| ("with 1 instance", of_small[n].as_slice());
        let figure =
            |n: usize, unit, what: String| Figure::of_passes(what, unit, &of_large[n], at_one(n));
        Ok(vec![
            figure(0, "ms", format!("configuration change at {n} instances, p50"))
                .budget(Budget::RatioMax(GROWTH_MAX)),
            figure(1, "us", "CPU of the daemon for it".to_owned())
                .budget(Budget::RatioMax(GROWTH_MAX)),
            figure(2, "ms", format!("no-op job at {n} instances, p50")),
        ])
    })
}

/// Change, its CPU, no-op.
async fn pass(rig: &Rig) -> anyhow::Result<[f64; 3]> {
    let (mut changes, mut no_ops) = (Vec::new(), Vec::new());
    let before = rig.daemon_cpu_us()?;
    for _ in 0..GROUP {
        changes.push(rig.one_job_ms(stop(0)?).await?);
        changes.push(rig.one_job_ms(start(0)?).await?);
    }
    let cpu = (rig.daemon_cpu_us()? - before) / changes.len() as f64;
    for _ in 0..GROUP {
        no_ops.push(rig.one_job_ms(no_op()).await?);
    }
    Ok([median(&changes), cpu, median(&no_ops)])
}
