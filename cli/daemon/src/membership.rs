//! The node's membership, for the call that makes it leave.

use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::ClusterUuid;
use gantry_node::Membership;
use tokio::sync::watch;

use crate::state_dir::StateDir;

/// Leaves by moving the identity aside; the rest of the state follows when the daemon has stopped.
pub(crate) struct NodeMembership {
    pub(crate) state_dir: StateDir,
    pub(crate) cluster: ClusterUuid,
    pub(crate) leave: watch::Sender<bool>,
}

impl Membership for NodeMembership {
    fn forget(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async {
            self.state_dir.forget_node(self.cluster).map_err(|error| {
                Fault::from_error(FaultCode::EnvironmentError, "forget the node's identity", &error)
            })
        })
    }

    fn is_forgotten(&self) -> BoxFuture<'_, Result<bool, Fault>> {
        Box::pin(async {
            self.state_dir.load_node().map(|node| node.is_none()).map_err(|error| {
                Fault::from_error(FaultCode::EnvironmentError, "read the node's identity", &error)
            })
        })
    }

    fn left(&self) {
        self.leave.send_replace(true);
    }
}
