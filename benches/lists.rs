//! What do commands that only look cost, and how large is the daemon that answers them?

use crate::daemon_rig::{Cost, Rig, block_on, instance_name};
use crate::harness::{Budget, Figure, Options, median};

const INSTANCES: usize = 1_000;
const CPU_MS_MAX: f64 = 20.0;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let rig = Rig::start().await?;
        let mut figures = vec![resident(&rig, "idle", 30.0)?];
        figures.extend(looks(&rig, options, 0)?);
        let n = options.repeats(INSTANCES);
        let ms = rig.add_instances(0, n).await?;
        figures.push(Figure::alone(
            format!("instance add, {n} in a batch"),
            "jobs/s",
            n as f64 * 1e3 / ms,
        ));
        figures.push(resident(&rig, &format!("with {n} instances"), 50.0)?);
        figures.extend(looks(&rig, options, n)?);
        figures.push(resident(&rig, &format!("with {n} instances, after the lists"), 50.0)?);
        Ok(figures)
    })
}

fn resident(rig: &Rig, when: &str, mib_max: f64) -> anyhow::Result<Figure> {
    let mib = rig.resident_mib()?;
    Ok(Figure::alone(format!("daemon RSS, {when}"), "MiB", mib).budget(Budget::Max(mib_max)))
}

fn looks(rig: &Rig, options: &Options, n_instances: usize) -> anyhow::Result<Vec<Figure>> {
    let one = instance_name(n_instances / 2)?.to_string();
    let mut commands = vec![vec!["instance", "list"], vec!["job", "list"], vec!["node", "list"]];
    if n_instances > 0 {
        commands.push(vec!["instance", "info", &one]);
    }
    let mut floors: Vec<Cost> = Vec::new();
    let mut costs = vec![Vec::<Cost>::new(); commands.len()];
    for _ in 0..options.passes(15) {
        floors.push(rig.cost_of(&["--version"])?);
        for (words, costs) in commands.iter().zip(&mut costs) {
            costs.push(rig.cost_of(words)?);
        }
    }
    let cpu = |costs: &[Cost]| costs.iter().map(|cost| cost.cpu_ms).collect::<Vec<_>>();
    let floor = cpu(&floors);
    let mut figures = Vec::new();
    for (words, costs) in commands.iter().zip(&costs) {
        let what = format!("{} {} at {n_instances}", words[0], words[1]);
        figures.push(
            Figure::of_passes(format!("{what}, CPU"), "ms", &cpu(costs), ("--version", &floor))
                .budget(Budget::Max(CPU_MS_MAX)),
        );
        let wall: Vec<f64> = costs.iter().map(|cost| cost.wall_ms).collect();
        figures.push(Figure::alone(format!("{what}, wall"), "ms", median(&wall)));
    }
    Ok(figures)
}
