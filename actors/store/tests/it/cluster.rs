//! Several stores on one simulated network, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::{STATE_LEVEL, STATE_LEVELS};
use gantry_model::ids::{NodeUuid, ReignId, Revision};
use gantry_model::levels::Levels;
use gantry_store::disk::FaultyDisk;
use gantry_store::{Compaction, DiskKind, Leadership, OpenError, Store, StoreConfig};

use crate::fixtures::{SOON, bootstrapped_at, clock, node, simulated};
use crate::network::Network;

/// How often a condition is looked at, in virtual time.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct TestCluster {
    pub(crate) network: Network,
    pub(crate) stores: BTreeMap<NodeUuid, Store>,
    pub(crate) disks: BTreeMap<NodeUuid, FaultyDisk>,
    pub(crate) compaction: Compaction,
    pub(crate) seed: u64,
    /// What the programs know that know less than this one.
    pub(crate) levels: BTreeMap<NodeUuid, Levels>,
    clock: gantry_store::Clock,
}

impl TestCluster {
    pub(crate) fn ids(&self) -> Vec<NodeUuid> {
        self.disks.keys().copied().collect()
    }

    /// `n` voters; the first leads.
    pub(crate) async fn of(n: u128, seed: u64, compaction: Compaction) -> (Self, ReignId) {
        Self::at_level(n, seed, compaction, STATE_LEVEL, BTreeMap::new()).await
    }

    /// The same at a state level, some of them with programs that know less.
    pub(crate) async fn at_level(
        n: u128,
        seed: u64,
        compaction: Compaction,
        level: u32,
        levels: BTreeMap<NodeUuid, Levels>,
    ) -> (Self, ReignId) {
        let mut cluster = Self {
            network: Network::new(seed),
            stores: BTreeMap::new(),
            disks: (1..=n).map(|i| (node(i), FaultyDisk::in_memory())).collect(),
            compaction,
            seed,
            levels,
            clock: clock(),
        };
        let first = node(1);
        let (store, reign) = bootstrapped_at(cluster.config(first), level).await;
        cluster.network.attach(&store);
        cluster.stores.insert(first, store.clone());
        for other in cluster.ids().into_iter().skip(1) {
            cluster.start(other).await;
            store.add_learner(other, SOON).await.expect("catches up");
        }
        let voters: BTreeSet<NodeUuid> = cluster.ids().into_iter().collect();
        store.change_voters(voters, SOON).await.expect("they vote");
        (cluster, reign)
    }

    fn config(&self, this: NodeUuid) -> StoreConfig {
        StoreConfig {
            node: this,
            clock: self.clock.clone(),
            transport: self.network.transport(this),
            disk: DiskKind::Backend(Arc::new(self.disks[&this].clone())),
            compaction: self.compaction,
            levels: self.levels.get(&this).copied().unwrap_or(STATE_LEVELS),
            seed: self.seed.wrapping_mul(31).wrapping_add(this.0.as_u128() as u64),
            ..simulated(&self.disks[&this])
        }
    }

    pub(crate) async fn start(&mut self, this: NodeUuid) {
        let store = Store::open(self.config(this)).await.expect("opens");
        self.network.attach(&store);
        self.stores.insert(this, store);
    }

    /// As `start`, on a new disk: nothing is left of what it was.
    pub(crate) async fn start_anew(&mut self, this: NodeUuid) {
        self.disks.insert(this, FaultyDisk::in_memory());
        self.start(this).await;
    }

    pub(crate) async fn open(&self, this: NodeUuid) -> Result<Store, OpenError> {
        Store::open(self.config(this)).await
    }

    /// The machine loses its power.
    pub(crate) fn kill(&mut self, this: NodeUuid) {
        self.network.detach(this);
        self.disks[&this].lose_power(None).expect("the medium works");
        if let Some(store) = self.stores.remove(&this) {
            store.abort();
        }
    }

    /// The leader that is not one of these, as soon as there is one.
    pub(crate) async fn leader_but(&self, but: &[NodeUuid]) -> Store {
        let found = async {
            loop {
                let leads = |store: &&Store| *store.leadership().borrow() == Leadership::Leader;
                let candidates = self.stores.values().filter(|s| !but.contains(&s.node()));
                if let Some(leader) = candidates.into_iter().find(leads) {
                    return leader.clone();
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(SOON, found).await.expect("a leader is elected")
    }

    /// All that live reach `revision`, and then have the same state.
    pub(crate) async fn agree_at(&self, revision: Revision) {
        let mut states = Vec::new();
        for store in self.stores.values() {
            let state = store.wait_for(revision, SOON).await.expect("reaches it");
            assert_eq!(state.revision, revision, "nothing else is under way");
            states.push((store.node(), state.hash().expect("has a hash")));
        }
        for (node, hash) in &states {
            assert_eq!(hash, &states[0].1, "node {node} differs");
        }
    }
}
