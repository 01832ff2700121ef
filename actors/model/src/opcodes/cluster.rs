//! Opcodes on the cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ends the cluster: refused while it has instances or other nodes than the master (O2, C7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ClusterDestroy {}

impl ClusterDestroy {
    pub(super) fn summary_detail(&self) -> Option<String> {
        None
    }
}
