//! What every test needs: a cluster to begin with, commands, a clock that stands in virtual time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_engine::state::{Applied, Command, InitCluster, STATE_LEVEL, STATE_LEVELS};
use gantry_model::ids::{ClusterUuid, GroupUuid, JobId, NodeUuid, ReignId};
use gantry_model::messages::NewJob;
use gantry_model::names::{ClusterName, GroupName, NodeName};
use gantry_model::objects::{Cluster, DiskTemplate, Node, NodeGroup};
use gantry_model::opcodes::{OpRequest, TestDelay};
use gantry_model::params::HypervisorKind;
use gantry_model::units::{Millis, Timestamp};
use gantry_store::disk::FaultyDisk;
use gantry_store::{
    Clock, Committed, Compaction, DiskKind, Home, ProposeError, RaftReply, RaftRequest, RaftTiming,
    RaftTransport, Store, StoreConfig, TransportError,
};
use gantry_wire::RequestId;
use uuid::Uuid;

/// Long enough for anything that is expected to happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn node(number: u128) -> NodeUuid {
    NodeUuid(Uuid::from_u128(number))
}

pub(crate) fn init(this: NodeUuid) -> InitCluster {
    let at = Timestamp(1_700_000_000_000_000);
    let group = GroupUuid(Uuid::from_u128(0xa0));
    InitCluster {
        cluster: Cluster {
            enabled_hypervisors: vec![HypervisorKind::Fake],
            enabled_disk_templates: vec![DiskTemplate::Fake],
            file_storage_dir: "/srv/gantry".into(),
            ..Cluster::new(
                ClusterUuid(Uuid::from_u128(0xc0)),
                ClusterName::new("cluster1").expect("valid"),
                at,
            )
        },
        group: NodeGroup::new(group, GroupName::new("default").expect("valid"), at),
        node: Node {
            master_candidate: true,
            ..Node::new(
                this,
                NodeName::new("node1").expect("valid"),
                "127.0.0.1:1811".into(),
                group,
                at,
            )
        },
        level: STATE_LEVEL,
    }
}

/// One job under one request id.
pub(crate) fn submit(reign: ReignId, request: u128) -> Command {
    let delay = TestDelay { duration: Millis(1), ..TestDelay::default() };
    Command::Submit {
        reign,
        request: RequestId(Uuid::from_u128(request)),
        jobs: vec![NewJob { ops: vec![OpRequest::from(delay)] }],
        secrets: std::collections::BTreeMap::new(),
    }
}

/// Submits one job; the id it got.
pub(crate) async fn submit_one(
    store: &Store,
    reign: ReignId,
    request: u128,
) -> Result<JobId, ProposeError> {
    let Committed { applied, .. } = store.propose(submit(reign, request), SOON).await?;
    match applied {
        Applied::Jobs(ids) => Ok(ids[0]),
        other => panic!("submitting answered {other:?}"),
    }
}

/// Time that passes with the runtime's.
pub(crate) fn clock() -> Clock {
    let start = tokio::time::Instant::now();
    Arc::new(move || Timestamp(1_700_000_000_000_000 + start.elapsed().as_micros() as u64))
}

/// For a node that has no peers.
pub(crate) struct Alone;

impl RaftTransport for Alone {
    fn send(
        &self,
        _to: NodeUuid,
        _request: RaftRequest,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>> {
        Box::pin(async { Err(TransportError::Unreachable { reason: "no peers".into() }) })
    }
}

pub(crate) fn on_real_disk(dir: &Path) -> StoreConfig {
    StoreConfig {
        dir: dir.to_owned(),
        node: node(1),
        clock: clock(),
        transport: Arc::new(Alone),
        disk: DiskKind::Real,
        home: Home::OwnThread,
        timing: RaftTiming::default(),
        compaction: Compaction::default(),
        levels: STATE_LEVELS,
        seed: 1,
    }
}

pub(crate) fn simulated(disk: &FaultyDisk) -> StoreConfig {
    StoreConfig {
        dir: "simulated".into(),
        disk: DiskKind::Backend(Arc::new(disk.clone())),
        home: Home::Caller,
        ..on_real_disk(Path::new(""))
    }
}

/// A new cluster of one.
pub(crate) async fn bootstrapped(config: StoreConfig) -> (Store, ReignId) {
    bootstrapped_at(config, STATE_LEVEL).await
}

/// The same, at a state level.
pub(crate) async fn bootstrapped_at(config: StoreConfig, level: u32) -> (Store, ReignId) {
    let this = config.node;
    let store = Store::open(config).await.expect("opens");
    let init = InitCluster { level, ..init(this) };
    store.bootstrap(init).await.expect("bootstraps");
    let reign = store.take_over(SOON).await.expect("takes over");
    (store, reign)
}

/// All causes of an error on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
