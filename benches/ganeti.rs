//! What do the same commands take with a real Ganeti, on the same machine, in the same run?
//!
//! The Ganeti is the operator's: [`PREFIX_VARIABLE`] holds the words that lead to its master, such
//! as `nsenter … --`; without it the commands run here, if there are any. Nothing of it is changed
//! but its queue of jobs. Where there is none, the question says so and has no figures.

use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use crate::child::{children_cpu_us, command};
use crate::daemon_rig::{Cost, Rig, block_on};
use crate::harness::{Figure, Options};

/// Words before each command of Ganeti, separated by spaces.
const PREFIX_VARIABLE: &str = "GANTRY_BENCH_GANETI";

/// A command of both: the words after `gnt-`, which are noun and verb of ours.
const COMMANDS: [&str; 7] = [
    "instance list",
    "node list",
    "job list",
    "cluster info",
    "cluster getmaster",
    "debug locks",
    // The shortest job there is: from submission to its end.
    "debug delay 0.001",
];

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let Some(ganeti) = Ganeti::find()? else {
        let text = format!("skipped: no Ganeti here, and {PREFIX_VARIABLE} does not lead to one");
        return Ok(vec![Figure::alone(text, "-", 0.0)]);
    };
    block_on(async {
        let rig = Rig::start().await?;
        let mut figures = Vec::new();
        for words in COMMANDS {
            let (mut ours, mut theirs) = (Vec::<Cost>::new(), Vec::<Cost>::new());
            let own: Vec<&str> = words.split(' ').collect();
            for _ in 0..options.passes(7) {
                theirs.push(ganeti.cost_of(words)?);
                ours.push(rig.cost_of(&own)?);
            }
            for (what, of) in
                [("wall", (|cost| cost.wall_ms) as fn(&Cost) -> f64), ("CPU", |c| c.cpu_ms)]
            {
                let all = |costs: &[Cost]| costs.iter().map(of).collect::<Vec<_>>();
                let peer = all(&theirs);
                figures.push(Figure::of_passes(
                    format!("{words}, {what}"),
                    "ms",
                    &all(&ours),
                    ("Ganeti", &peer),
                ));
            }
        }
        Ok(figures)
    })
}

/// How a real Ganeti is reached.
struct Ganeti {
    prefix: Vec<String>,
}

impl Ganeti {
    /// The one that was named, or the one that is installed here and has a cluster.
    fn find() -> anyhow::Result<Option<Self>> {
        let named = std::env::var(PREFIX_VARIABLE).unwrap_or_default();
        let prefix: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
        let ganeti = Self { prefix };
        match ganeti.cost_of("cluster getmaster") {
            Ok(_) => Ok(Some(ganeti)),
            Err(_) if ganeti.prefix.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn cost_of(&self, words: &str) -> anyhow::Result<Cost> {
        let (noun, rest) = words.split_once(' ').context("noun and verb")?;
        let program = format!("gnt-{noun}");
        let mut all = self.prefix.iter().map(String::as_str).chain([program.as_str()]);
        let (start, before) = (Instant::now(), children_cpu_us()?);
        let first = all.next().context("a program")?;
        let output = command(Path::new(first))
            .args(all)
            .args(rest.split(' '))
            .output()
            .with_context(|| format!("run {first}"))?;
        let wall_ms = start.elapsed().as_secs_f64() * 1e3;
        if !output.status.success() {
            bail!("gnt-{words} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Cost { cpu_ms: (children_cpu_us()? - before) / 1e3, wall_ms })
    }
}
