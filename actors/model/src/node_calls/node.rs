//! Calls to node actors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node_calls::CallTarget;
use crate::units::Millis;

/// Waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeDelay {
    /// How long.
    pub duration: Millis,
}

/// The node leaves the cluster: it forgets its identity and its daemon stops.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeLeave {}

impl NodeDelay {
    pub(super) fn own_time(&self) -> Duration {
        self.duration.into()
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Node
    }
}

impl NodeLeave {
    pub(super) fn own_time(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Node
    }
}
