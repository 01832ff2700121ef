//! How many bytes does an actor that does nothing take?
//!
//! Resident memory of a fresh process, before and after it has started so many.

use std::time::Duration;

use anyhow::{Context as _, bail};
use gantry_runtime::{Actor, Platform, Protocol, SpawnOptions, System, SystemConfig, simulate};
use gantry_wire::{ActorPath, BootId, NodeId};
use uuid::Uuid;

use crate::child::{Served, resident_kib, tell_parent};
use crate::harness::{Budget, Figure, Options};

const N_ACTORS: usize = 100_000;

/// Spawned before they get a turn to start, so that the queue of spawns is not measured too.
const AT_ONCE: usize = 100;

const OURS: &str = "ours";
const ACTIX: &str = "actix";
const RAW: &str = "raw";

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let n = options.repeats(N_ACTORS);
    let mut bytes = [const { Vec::new() }; 3];
    for _ in 0..options.passes(3) {
        for (all, whose) in bytes.iter_mut().zip([OURS, ACTIX, RAW]) {
            let told = Served::start(&["idle", whose, &n.to_string()])?;
            all.push(told.line.parse::<f64>().with_context(|| format!("told: {}", told.line))?);
        }
    }
    let [ours, actix, raw] = bytes;
    let what = format!("idle actor, of {n}");
    Ok(vec![
        Figure::of_passes(&what, "bytes", &ours, ("plain actix", &actix))
            .budget(Budget::Max(1536.0)),
        Figure::of_passes(&what, "bytes", &ours, ("raw tokio task and mpsc", &raw)),
    ])
}

struct Idle;

impl Actor for Idle {
    const KIND: &'static str = "idle";
    fn protocol() -> Protocol<Self> {
        Protocol::new()
    }
}

struct PlainIdle;

impl actix::Actor for PlainIdle {
    type Context = actix::Context<Self>;
}

/// Starts them, and tells the bytes of each.
pub(crate) fn serve(whose: &str, n: usize) -> anyhow::Result<()> {
    let whose = whose.to_owned();
    let kib = simulate(async move {
        match whose.as_str() {
            OURS => ours(n).await,
            ACTIX => {
                let mut addrs = Vec::with_capacity(n);
                grown(n, |_| {
                    addrs.push(actix::Actor::start(PlainIdle));
                    Ok(())
                })
                .await
            }
            RAW => {
                let mut senders = Vec::with_capacity(n);
                grown(n, |_| {
                    let (sender, mut queue) = tokio::sync::mpsc::unbounded_channel::<()>();
                    tokio::task::spawn_local(async move { while queue.recv().await.is_some() {} });
                    senders.push(sender);
                    Ok(())
                })
                .await
            }
            other => bail!("nobody is called {other:?}"),
        }
    })?;
    tell_parent(&format!("{}", kib * 1024 / n as u64))
}

async fn ours(n: usize) -> anyhow::Result<u64> {
    let id = Uuid::from_u128(1);
    let config = SystemConfig { node: NodeId(id), boot: BootId(id) };
    let system = System::new(Platform::simulated(1), config);
    let kib = grown(n, |number| {
        let path = ActorPath::new(&format!("/idle/{number}"))?;
        drop(system.spawn(path, SpawnOptions::default(), || Idle)?);
        Ok(())
    })
    .await?;
    let n_live = system.actors().len();
    if n_live != n {
        bail!("{n_live} actors live, {n} were spawned");
    }
    Ok(kib)
}

/// By how much the process has grown after `n` spawns.
async fn grown(
    n: usize,
    mut spawn: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let before = resident_kib(std::process::id())?;
    for number in 0..n {
        spawn(number)?;
        if number % AT_ONCE == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(resident_kib(std::process::id())?.saturating_sub(before))
}
