//! What the daemon measures, for Prometheus, on an address of this machine.
//!
//! Nothing is collected ahead: each question looks at what there is, on a blocking pool. The
//! address has to be local: whoever reaches it is answered.

mod lock_waits;
mod page;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use gantry_master::LockWaits;
use gantry_runtime::System;
use gantry_store::Store;

use crate::error::DaemonError;

pub(crate) use server::MetricsServer;

/// What is looked at.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) system: System,
    pub(crate) store: Option<Store>,
    pub(crate) lock_waits: Arc<LockWaits>,
    pub(crate) node_name: String,
    pub(crate) cluster_name: String,
}

/// Refuses an address that others could reach: there is no authentication.
pub(crate) fn check_address(address: SocketAddr) -> Result<(), DaemonError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let text =
        format!("metrics address {address} is not of this machine alone; use 127.0.0.1:PORT");
    Err(DaemonError::Input(text))
}
