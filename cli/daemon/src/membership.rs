//! The node's membership, for the calls that make it leave, or renew its certificates, and for the
//! leader that it follows.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{ClusterUuid, NodeUuid};
use gantry_model::messages::LogHeld;
use gantry_model::units::Timestamp;
use gantry_node::Membership;
use gantry_wire::Role;
use tokio::sync::watch;

use crate::certificates::Certificates;
use crate::signer::Keyring;
use crate::state_dir::{StateDir, StateDirError};

/// Leaves by moving the identity aside; the rest of the state follows when the daemon has stopped.
pub(crate) struct NodeMembership {
    pub(crate) state_dir: StateDir,
    pub(crate) cluster: ClusterUuid,
    pub(crate) leave: watch::Sender<bool>,
    pub(crate) certificates: Arc<Certificates>,
    /// Who leads, as this node was told.
    pub(crate) master: watch::Sender<NodeUuid>,
    /// What this run of the daemon has of the log.
    pub(crate) keyring: Option<Arc<Keyring>>,
    /// Set when the daemon is to start anew, because the node is to hold the log, or no more.
    pub(crate) change: watch::Sender<bool>,
    /// One change at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl NodeMembership {
    /// What it holds in this run.
    fn held(&self) -> LogHeld {
        let keyring = self.keyring.as_ref();
        LogHeld { holds: keyring.is_some(), key: keyring.and_then(|keys| keys.newest()) }
    }

    async fn follow(
        &self,
        master: NodeUuid,
        address: &str,
        hold_log: bool,
    ) -> Result<LogHeld, Fault> {
        let _changing = self.changing.lock().await;
        let failed = |error: StateDirError| {
            Fault::from_error(FaultCode::EnvironmentError, "note who leads", &error)
        };
        let none = || Fault::new(FaultCode::WrongState, "this node has left its cluster");
        let mut file = self.state_dir.load_node().map_err(failed)?.ok_or_else(none)?;
        if file.master != master || file.master_address != address {
            file.master = master;
            address.clone_into(&mut file.master_address);
            self.state_dir.save_node(&file).map_err(failed)?;
        }
        self.certificates.know(master, address).await;
        self.master.send_if_modified(|known| std::mem::replace(known, master) != master);
        if file.holds_log == hold_log {
            return Ok(self.held());
        }
        // The certificate first: a holder that nobody accepts as one would be of no use.
        let role = if hold_log { Role::Candidate } else { Role::Node };
        self.certificates.certify_as(role).await?;
        file.holds_log = hold_log;
        self.state_dir.save_node(&file).map_err(failed)?;
        tracing::info!(hold_log, "the log is to be held here, or no more: the daemon starts anew");
        self.change.send_replace(true);
        Ok(self.held())
    }
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

    fn follow_master<'a>(
        &'a self,
        master: NodeUuid,
        address: &'a str,
        hold_log: bool,
    ) -> BoxFuture<'a, Result<LogHeld, Fault>> {
        self.follow(master, address, hold_log).boxed()
    }

    fn left(&self) {
        self.leave.send_replace(true);
    }
}
