//! A reign: from the takeover to the end of leadership.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::errors::Fault;
use gantry_model::ids::{KeyGeneration, ReignId};
use gantry_model::messages::{cluster_path, job_path, locks_path};
use gantry_runtime::{SpawnError, SpawnOptions, System, Thread};
use gantry_store::{Store, StoreError};
use tokio::sync::watch;

use crate::cluster_actor::ClusterActor;
use crate::context::{COMMIT_DEADLINE, MasterConfig, MasterContext};
use crate::holders;
use crate::lock_actor::LockActor;
use crate::wishes::Wishes;

/// Why a leader could not begin its reign.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The takeover was not committed.
    #[error("take over as the master")]
    TakeOver(#[source] StoreError),
    /// An actor could not be made.
    #[error("spawn the actors of the master")]
    Spawn(#[source] SpawnError),
}

/// The actors of one reign.
pub struct Master {
    system: System,
    store: Store,
    reign: ReignId,
    context: MasterContext,
    /// Ends what is done besides the actors.
    ends: watch::Sender<bool>,
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("reign", &self.reign).finish_non_exhaustive()
    }
}

impl Master {
    /// Takes over: commits the beginning of a reign, then spawns its actors. Nothing is granted and
    /// no job is resumed before that entry is applied.
    ///
    /// # Errors
    /// When this node does not lead (any more), or shuts down.
    pub async fn start(
        system: System,
        store: Store,
        config: MasterConfig,
    ) -> Result<Self, StartError> {
        let reign = store.take_over(COMMIT_DEADLINE).await.map_err(StartError::TakeOver)?;
        tracing::info!(%reign, "reign begins");
        let wishes = Wishes::default();
        let (of_system, of_store) = (system.clone(), store.clone());
        let context = MasterContext { system: of_system, store: of_store, reign, config, wishes };
        crate::cluster_key::found(&context).await;
        let keys = context.clone();
        let control = || SpawnOptions { thread: Thread::Control, ..SpawnOptions::default() };
        let for_locks = Arc::new(context.clone());
        let locks = system
            .spawn(locks_path(), control(), move || LockActor::restore(&for_locks))
            .map_err(StartError::Spawn)?;
        system
            .spawn(cluster_path(), control(), move || {
                ClusterActor::new(context.clone(), locks.clone())
            })
            .map_err(StartError::Spawn)?;
        let (ends, ended) = watch::channel(false);
        drop(system.spawn_task(holders::keep(keys.clone(), ended)));
        Ok(Self { system, store, reign, context: keys, ends })
    }

    /// The reign.
    #[must_use]
    pub fn reign(&self) -> ReignId {
        self.reign
    }

    /// Seals every secret with another cluster key, so that who has only the old one can open none.
    /// To be called after a full candidate has been demoted.
    ///
    /// # Errors
    /// When the log does not take it, or a secret cannot be opened; the old key is good then.
    pub async fn rotate_cluster_key(&self) -> Result<KeyGeneration, Fault> {
        crate::cluster_key::rotate(&self.context).await
    }

    /// Ends the reign on this node: its actors stop where they are. Their jobs are resumed by the
    /// next leader.
    pub async fn stop(self, grace: Duration) {
        tracing::info!(reign = %self.reign, "reign ends");
        self.ends.send_replace(true);
        let stopped = self.system.stop_and_wait(cluster_path(), grace).await;
        let mut all = stopped;
        for id in &self.store.snapshot().unfinished {
            all &= self.system.stop_and_wait(job_path(*id), grace).await;
        }
        all &= self.system.stop_and_wait(locks_path(), grace).await;
        if !all {
            tracing::warn!("some actors of the reign did not stop in time");
        }
    }
}
