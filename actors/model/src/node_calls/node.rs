//! Calls to node actors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node_calls::CallTarget;
use crate::units::{Millis, Timestamp};

/// Waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeDelay {
    /// How long.
    pub duration: Millis,
    /// By what it can be cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<DelaySocket>,
}

/// A socket at which a delay waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DelaySocket {
    /// Where it is, absolute.
    pub path: String,
    /// Whether another delay waits at it after this one.
    pub keep: bool,
}

/// The node leaves the cluster: it forgets its identity and its daemon stops.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeLeave {}

/// The node believes exactly these authorities from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeTrust {
    /// Their certificates, PEM.
    pub bundle: String,
}

/// The node makes a key, has it certified by the cluster, and uses both from now on; so with the
/// operator's and the reader's certificates, where it keeps these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NodeRenewCertificate {
    /// Fingerprint of the authority that must have signed.
    pub authority: String,
    /// A certificate made earlier is not it.
    pub issued_from: Timestamp,
}

impl NodeTrust {
    pub(super) fn own_time(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Node
    }
}

impl NodeRenewCertificate {
    pub(super) fn own_time(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Node
    }
}

impl NodeDelay {
    /// A delay that nothing cuts short.
    #[must_use]
    pub fn of(duration: Millis) -> Self {
        Self { duration, socket: None }
    }

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
