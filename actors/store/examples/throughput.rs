//! Prints how long a durable proposal takes on one voter on a real directory: one at a time, and
//! many at once. `cargo run -p gantry-store --example throughput [directory]`: the directory says
//! which disk is measured; the default is one below the current directory.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_engine::state::{Applied, Command, InitCluster, STATE_LEVEL, STATE_LEVELS};
use gantry_model::ids::{ClusterUuid, GroupUuid, NodeUuid, ReignId};
use gantry_model::messages::NewJob;
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{Cluster, Node, NodeGroup};
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::units::Timestamp;
use gantry_store::{
    Compaction, DiskKind, Home, RaftReply, RaftRequest, RaftTiming, RaftTransport, Store,
    StoreConfig, TransportError,
};
use gantry_wire::RequestId;
use tokio::time::Instant;
use uuid::Uuid;

/// Proposals measured one after the other.
const N_SEQUENTIAL: u128 = 500;
/// Proposals offered at once.
const N_AT_ONCE: u128 = 1_000;
/// How often that is done; the median counts.
const N_ROUNDS: u128 = 4;
/// Long enough for any disk.
const DEADLINE: Duration = Duration::from_secs(60);

struct NoPeers;

impl RaftTransport for NoPeers {
    fn send(
        &self,
        _to: NodeUuid,
        _request: RaftRequest,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>> {
        Box::pin(async { Err(TransportError::Unreachable { reason: "no peers".into() }) })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(parent)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(dir.path()))
}

async fn run(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let this = NodeUuid(Uuid::from_u128(1));
    let start = Instant::now();
    let store = Store::open(StoreConfig {
        dir: dir.to_owned(),
        node: this,
        clock: Arc::new(move || Timestamp(start.elapsed().as_micros() as u64)),
        transport: Arc::new(NoPeers),
        disk: DiskKind::Real,
        home: Home::OwnThread,
        timing: RaftTiming::default(),
        compaction: Compaction::default(),
        levels: STATE_LEVELS,
        seed: 1,
    })
    .await?;
    store.bootstrap(init(this)?).await?;
    let reign = store.take_over(DEADLINE).await?;

    let mut alone = Vec::new();
    for request in 0..N_SEQUENTIAL {
        let since = Instant::now();
        submit(&store, reign, request).await?;
        alone.push(since.elapsed());
    }
    alone.sort_unstable();
    let p = |percent: usize| alone[alone.len() * percent / 100];
    println!("one at a time: p50 {:?}, p90 {:?}, p99 {:?}", p(50), p(90), p(99));

    let mut rounds = Vec::new();
    for round in 1..=N_ROUNDS {
        let since = Instant::now();
        let proposals: Vec<_> = (0..N_AT_ONCE)
            .map(|i| {
                let store = store.clone();
                let request = round * 1_000_000 + i;
                tokio::spawn(async move { submit(&store, reign, request).await })
            })
            .collect();
        for proposal in proposals {
            proposal.await??;
        }
        rounds.push(since.elapsed());
    }
    rounds.sort_unstable();
    let median = rounds[rounds.len() / 2];
    let per_second = N_AT_ONCE as f64 / median.as_secs_f64();
    println!("{N_AT_ONCE} at once: all after {median:?} (median), {per_second:.0} per second");
    let entries = store.snapshot().revision;
    let since = Instant::now();
    store.shutdown().await?;
    println!("{entries} entries, shut down in {:?}", since.elapsed());
    let since = Instant::now();
    drop(store);
    println!("dropped in {:?}", since.elapsed());
    Ok(())
}

async fn submit(store: &Store, reign: ReignId, request: u128) -> Result<(), String> {
    let command = Command::Submit {
        reign,
        request: RequestId(Uuid::from_u128(request)),
        jobs: vec![NewJob { ops: vec![OpRequest::from(TestDelay::default())] }],
        secrets: std::collections::BTreeMap::new(),
    };
    match store.propose(command, DEADLINE).await.map_err(|e| e.to_string())?.applied {
        Applied::Jobs(_) => Ok(()),
        other => Err(format!("submitting answered {other:?}")),
    }
}

fn init(this: NodeUuid) -> Result<InitCluster, Box<dyn std::error::Error>> {
    let at = Timestamp::default();
    let group = GroupUuid(Uuid::from_u128(2));
    Ok(InitCluster {
        cluster: Cluster {
            candidate_pool_size: 1,
            ..Cluster::new(ClusterUuid(Uuid::from_u128(3)), ClusterName::new("cluster1")?, at)
        },
        group: NodeGroup::new(group, GroupName::new("default")?, at),
        node: Node {
            master_candidate: true,
            ..Node::new(this, NodeName::new("node1")?, "127.0.0.1:1811".into(), group, at)
        },
        level: STATE_LEVEL,
    })
}
