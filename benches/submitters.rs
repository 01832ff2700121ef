//! Clients that submit jobs without pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use gantry_client::Client;
use gantry_model::ids::JobId;
use gantry_model::messages::NewJob;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::daemon_rig::no_op;

/// A submission that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) begun: Instant,
    pub(crate) at: Instant,
    pub(crate) job: JobId,
}

/// Several of them at work.
pub(crate) struct Submitters {
    ends: Arc<AtomicBool>,
    acks: Arc<Mutex<Vec<Ack>>>,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Submitters {
    /// So many, over one connection.
    pub(crate) fn start(client: &Client, n: usize) -> Self {
        let (ends, acks) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let start = || tokio::spawn(submit(client.clone(), Arc::clone(&ends), Arc::clone(&acks)));
        let tasks = (0..n).map(|_| start()).collect();
        Self { ends, acks, tasks }
    }

    /// Stops them; what was acknowledged, in that order.
    pub(crate) async fn end(self) -> anyhow::Result<Vec<Ack>> {
        self.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(std::mem::take(&mut *self.acks.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

async fn submit(
    client: Client,
    ends: Arc<AtomicBool>,
    acks: Arc<Mutex<Vec<Ack>>>,
) -> anyhow::Result<()> {
    while !ends.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let ids = client.submit(vec![NewJob { ops: vec![no_op()] }]).await?;
        let [Ok(job)] = ids.as_slice() else { bail!("the job was refused: {ids:?}") };
        let ack = Ack { begun, at: Instant::now(), job: *job };
        acks.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
    }
    Ok(())
}

/// The longest time without an acknowledgement that ends after `from`.
pub(crate) fn gap_ms(acks: &[Ack], from: Instant) -> f64 {
    let pairs = acks.windows(2).map(|pair| (pair[0].at, pair[1].at));
    let gaps = pairs.filter(|(_, end)| *end > from).map(|(start, end)| end - start);
    gaps.max().map_or(f64::NAN, |gap| gap.as_secs_f64() * 1e3)
}
