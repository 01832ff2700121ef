//! Does a cluster of 20,000 instances still answer at once, and write as fast as an empty one?
//!
//! Two daemons: one with nothing, one with 20,000 fake instances, all running. In each pass both
//! do the same, so what is compared is the number of objects alone.

use crate::daemon_rig::{Rig, block_on, instance_name, no_op, start, stop};
use crate::harness::{Budget, Figure, Options, median};

const INSTANCES: usize = 20_000;
/// Instances that are added in one message. All at once would be more than the queue takes.
const BATCH: usize = 1_000;
/// Changes in a pass.
const GROUP: usize = 5;
const CPU_MS_MAX: f64 = 200.0;
/// As in `config_write`: within what two runs of the same differ.
const GROWTH_MAX: f64 = 1.25;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let (empty, large) = (Rig::start().await?, Rig::start().await?);
        // One of its own is changed.
        empty.add_instances(0, 1).await?;
        let n = options.repeats(INSTANCES);
        let mut of_batches = Vec::new();
        for from in (0..n).step_by(BATCH) {
            let batch = BATCH.min(n - from);
            let ms = large.add_instances(from, batch).await?;
            of_batches.push(batch as f64 * 1e3 / ms);
        }
        let rate = |what: &str, at: Option<&f64>| {
            let rate = at.copied().unwrap_or_default();
            Figure::alone(format!("instance add, {what} {BATCH} of {n}"), "jobs/s", rate)
        };
        let mut figures = vec![
            rate("first", of_batches.first()),
            rate("last", of_batches.last()),
            Figure::alone(format!("daemon RSS at {n}"), "MiB", large.resident_mib()?),
        ];
        figures.extend(writes(&empty, &large, options, n).await?);
        figures.extend(looks(&empty, &large, options, n)?);
        figures.push(Figure::alone(
            format!("daemon RSS at {n}, after the lists"),
            "MiB",
            large.resident_mib()?,
        ));
        Ok(figures)
    })
}

async fn writes(
    empty: &Rig,
    large: &Rig,
    options: &Options,
    n: usize,
) -> anyhow::Result<Vec<Figure>> {
    let mut all = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..options.passes(20) {
        for (rig, of_rig) in [empty, large].into_iter().zip(&mut all) {
            let (mut changes, mut no_ops) = (Vec::new(), Vec::new());
            for _ in 0..GROUP {
                changes.push(rig.one_job_ms(stop(0)?).await?);
                changes.push(rig.one_job_ms(start(0)?).await?);
                no_ops.push(rig.one_job_ms(no_op()).await?);
            }
            of_rig[0].push(median(&changes));
            of_rig[1].push(median(&no_ops));
        }
    }
    let [of_empty, of_large] = &all;
    let figure = |which: usize, what: String| {
        let peer = ("with 1 instance", of_empty[which].as_slice());
        Figure::of_passes(what, "ms", &of_large[which], peer).budget(Budget::RatioMax(GROWTH_MAX))
    };
    Ok(vec![
        figure(0, format!("configuration change at {n}, p50")),
        figure(1, format!("no-op job at {n}, p50")),
    ])
}

fn looks(empty: &Rig, large: &Rig, options: &Options, n: usize) -> anyhow::Result<Vec<Figure>> {
    let one = instance_name(n / 2)?.to_string();
    let commands = [
        vec!["instance", "list"],
        vec!["instance", "list", &one],
        vec!["instance", "list", "-o", "name,hvparams,beparams,status"],
        vec!["job", "list"],
        vec!["node", "list"],
    ];
    let mut figures = Vec::new();
    for words in &commands {
        let (mut theirs, mut ours, mut wall) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.passes(7) {
            // The small cluster has no such instance.
            let there = if words.contains(&one.as_str()) { &words[..2] } else { words };
            theirs.push(empty.cost_of(there)?.cpu_ms);
            let cost = large.cost_of(words)?;
            ours.push(cost.cpu_ms);
            wall.push(cost.wall_ms);
        }
        let what = format!("{} at {n}", words.join(" "));
        let peer = ("with 1 instance", theirs.as_slice());
        figures.push(
            Figure::of_passes(format!("{what}, CPU"), "ms", &ours, peer)
                .budget(Budget::Max(CPU_MS_MAX)),
        );
        figures.push(Figure::alone(format!("{what}, wall"), "ms", median(&wall)));
    }
    Ok(figures)
}
