//! Does the master stay the master at full load, while somebody writes to its disk as fast as the
//! disk takes it?
//!
//! Three daemons that vote, all on one disk. Clients submit jobs without pause at one that does not
//! lead; a thread writes large blocks beside the logs and flushes each. What counts is the number
//! of the reign.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::time::Instant;

use crate::daemon_rig::block_on;
use crate::harness::{Budget, Figure, Options, percentile};
use crate::submitters::{Submitters, gap_ms};
use crate::voters_rig::Voters;

const VOTERS: usize = 3;
const SUBMITTERS: usize = 16;
/// Seconds under load.
const SECONDS: usize = 600;
/// One write of the thread beside.
const BLOCK_BYTES: usize = 4 << 20;
/// Blocks before it begins the file anew: more than what disks keep in their own memory.
const BLOCKS_MAX: u64 = 256;

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    block_on(async {
        let rig = Voters::start(VOTERS).await?;
        let any = rig.client_at(0).await?;
        let door = rig.another(rig.master(&any).await?);
        let client = rig.client_at(door).await?;
        let before = client.cluster().await?.reign;
        let hog = Hog::start(rig.dir().join("hog"))?;
        let (begun, submitters) = (Instant::now(), Submitters::start(&client, SUBMITTERS));
        let seconds = u64::try_from(options.repeats(SECONDS))?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let acks = submitters.end().await?;
        let took = begun.elapsed().as_secs_f64();
        let mib = hog.end()?;
        let after = client.cluster().await?.reign;
        let waits: Vec<f64> =
            acks.iter().map(|ack| (ack.at - ack.begun).as_secs_f64() * 1e3).collect();
        // Reigns have the number of the entry with which they begin.
        let changed = f64::from(u8::from(before != after));
        let alone = |what: &str, unit, value| Figure::alone(what, unit, value);
        Ok(vec![
            Figure::alone(format!("another reign within {seconds} s"), "", changed)
                .budget(Budget::Max(0.0)),
            alone("jobs acknowledged", "jobs/s", acks.len() as f64 / took),
            alone("submit to acknowledged, p50", "ms", percentile(&waits, 50)),
            alone("submit to acknowledged, p99", "ms", percentile(&waits, 99)),
            alone("longest time without an answer", "ms", gap_ms(&acks, begun)),
            alone("written and flushed beside it", "MiB/s", mib as f64 / took),
        ])
    })
}

/// A thread that writes.
struct Hog {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<u64>>,
}

impl Hog {
    fn start(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || write(file, &told));
        Ok(Self { ends, thread })
    }

    /// Stops it; how many MiB it has written.
    fn end(self) -> anyhow::Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        let written = self.thread.join().map_err(|_| anyhow!("the thread that writes panicked"))?;
        written.context("write beside the logs")
    }
}

fn write(mut file: File, ends: &AtomicBool) -> std::io::Result<u64> {
    let block = vec![7_u8; BLOCK_BYTES];
    let mut n_blocks = 0;
    while !ends.load(Ordering::Relaxed) {
        if n_blocks % BLOCKS_MAX == 0 {
            file.rewind()?;
        }
        file.write_all(&block)?;
        file.sync_data()?;
        n_blocks += 1;
    }
    Ok(n_blocks * (BLOCK_BYTES as u64 >> 20))
}
