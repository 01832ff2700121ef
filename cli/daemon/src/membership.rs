//! The node's membership, for the calls that make it leave, or renew its certificates.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::ClusterUuid;
use gantry_model::units::Timestamp;
use gantry_node::Membership;
use tokio::sync::watch;

use crate::certificates::Certificates;
use crate::state_dir::StateDir;

/// Leaves by moving the identity aside; the rest of the state follows when the daemon has stopped.
pub(crate) struct NodeMembership {
    pub(crate) state_dir: StateDir,
    pub(crate) cluster: ClusterUuid,
    pub(crate) leave: watch::Sender<bool>,
    pub(crate) certificates: Arc<Certificates>,
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

    fn believe<'a>(&'a self, bundle: &'a str) -> BoxFuture<'a, Result<(), Fault>> {
        self.certificates.believe(bundle).boxed()
    }

    fn renew_certificate(&self) -> BoxFuture<'_, Result<(), Fault>> {
        self.certificates.renew().boxed()
    }

    fn is_renewed<'a>(
        &'a self,
        authority: &'a str,
        issued_from: Timestamp,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        self.certificates.is_renewed(authority, issued_from).boxed()
    }

    fn left(&self) {
        self.leave.send_replace(true);
    }
}
