//! How this node opens its log.

use std::path::Path;
use std::sync::Arc;

use gantry_model::ids::NodeUuid;
use gantry_model::units::Timestamp;
use gantry_runtime::Platform;
use gantry_store::{
    Compaction, DiskKind, Home, RaftTiming, RaftTransport, StoreConfig,
};

/// Real files, a thread of its own, the platform's clock.
pub(crate) fn store_config(
    dir: &Path,
    node: NodeUuid,
    platform: &Platform,
    transport: Arc<dyn RaftTransport>,
) -> StoreConfig {
    let clock = platform.clock().clone();
    StoreConfig {
        dir: dir.to_owned(),
        node,
        clock: Arc::new(move || Timestamp(u64::try_from(clock.wall_us()).unwrap_or_default())),
        transport,
        disk: DiskKind::Real,
        home: Home::OwnThread,
        timing: RaftTiming::default(),
        compaction: Compaction::default(),
        seed: platform.random_u64(),
    }
}
