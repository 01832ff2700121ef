//! The node calls: what each does and how its end is found out after a crash.
//!
//! Called by the actors of the node only. A new call in the model's table does not build until it
//! has an arm in [`handler`], and that takes an `act` and a `recover`.
//!
//! Deliberately absent: fencing, journalling and the order of things, which are the same for every
//! call (`flow`), and every decision whether a call should be made at all.

mod desk;
mod disk;
mod flow;
mod instance;
mod node;

pub(crate) use desk::{Answer, CALLS_WAITING_MAX, CallActor, CallDesk, take_call};
pub(crate) use disk::fault as disk_fault;
pub(crate) use instance::fault as guest_fault;

use futures_util::future::BoxFuture;
use gantry_model::errors::Fault;
use gantry_model::node_calls::{CallOutcome, NodeCall, Recovery};

use crate::env::NodeEnv;

/// One node call.
pub(crate) trait CallHandler {
    /// Does it. A failure must leave nothing half done, or say so in its fault.
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>>;

    /// Asks the world how an earlier `act` ended. Never guesses, never acts.
    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery>;
}

fn handler(call: &NodeCall) -> &dyn CallHandler {
    match call {
        NodeCall::DiskCreate(call) => call,
        NodeCall::DiskRemove(call) => call,
        NodeCall::DiskWriteImage(call) => call,
        NodeCall::DiskWipe(call) => call,
        NodeCall::InstanceStart(call) => call,
        NodeCall::InstanceStop(call) => call,
        NodeCall::InstanceReboot(call) => call,
        NodeCall::NodeDelay(call) => call,
        NodeCall::NodeLeave(call) => call,
        NodeCall::NodeTrust(call) => call,
        NodeCall::NodeRenewCertificate(call) => call,
    }
}
