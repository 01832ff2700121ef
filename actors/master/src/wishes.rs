//! What jobs and commands want of the holders of the log for the moment, and waiting for it.
//!
//! Shared by them and by the task that changes the holders ([`crate::holders`]), which alone does
//! it. Lasts as long as the reign: the next leader is asked again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_engine::state::{ClusterState, HolderWishes};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::messages::FAILOVER_WAIT;
use gantry_store::{Leadership, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::MasterContext;
use crate::holders::membership;

/// How often it is looked whether a wish has come true. A look reads a few words in memory; higher
/// keeps a job waiting that long for nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a node that is to leave may go on holding the log. A change of voters needs a majority;
/// without one nothing else is done either.
const RELEASE: Duration = Duration::from_secs(60);

/// How long a job waits until the log is with those whom the flags name. A node that is to hold it
/// starts its actors anew and gets a snapshot; one that is off would be waited for in vain.
const FOLLOW: Duration = Duration::from_secs(30);

/// The wishes of one reign.
#[derive(Clone, Default)]
pub(crate) struct Wishes {
    now: Arc<Mutex<HolderWishes>>,
    changed: Arc<Notify>,
}

impl Wishes {
    pub(crate) fn all(&self) -> HolderWishes {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends when there is another wish, or something else to look at.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn change(&self, change: impl FnOnce(&mut HolderWishes)) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }
}

/// Looks again and again whether something is so, until a time.
async fn becomes(is_so: impl Fn() -> bool, within: Duration) -> bool {
    let until = Instant::now() + within;
    while !is_so() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    true
}

/// Waits until a node that is about to leave does not hold the log: its disks are then needed for
/// nothing.
pub(crate) async fn release(context: &MasterContext, node: NodeUuid) -> Result<(), Fault> {
    let is_out = || !membership(&context.store.members()).has(&node);
    context.wishes.change(|wishes| {
        wishes.leaving.insert(node);
    });
    if becomes(is_out, RELEASE).await {
        return Ok(());
    }
    context.wishes.change(|wishes| {
        wishes.leaving.remove(&node);
    });
    let text = format!("node {node} still holds the log, which no majority changes");
    Err(Fault::new(FaultCode::TempInsufficientResources, text).retry_later())
}

/// Waits until a node holds the log, or does not, as the flags say.
pub(crate) async fn await_holder(context: &MasterContext, node: NodeUuid) -> Result<(), Fault> {
    let wanted = || context.state().is_to_hold(node, &context.wishes.all());
    let is_so = || membership(&context.store.members()).has(&node) == wanted();
    context.wishes.changed.notify_waiters();
    if becomes(is_so, FOLLOW).await {
        return Ok(());
    }
    let text = match wanted() {
        true => "it does not hold it yet, and will as soon as it answers",
        false => "it still holds it: do not switch it off yet",
    };
    Err(Fault::new(FaultCode::TempInsufficientResources, text).retry_later())
}

/// Hands leadership to a candidate; ends when this node leads no more, or it could not be done.
///
/// # Errors
/// When the node is no candidate, or does not take over in time. Nothing has changed then.
pub(crate) async fn hand_over(context: &MasterContext, to: NodeUuid) -> Result<(), Fault> {
    may_lead(&context.state(), to)?;
    context.wishes.change(|wishes| wishes.next = Some(to));
    let leadership = context.store.leadership();
    let is_over = || *leadership.borrow() != Leadership::Leader;
    if becomes(is_over, FAILOVER_WAIT).await {
        return Ok(());
    }
    // Somebody may want another one meanwhile.
    context.wishes.change(|wishes| wishes.next = wishes.next.filter(|next| *next != to));
    let name = context.state().name_of_node(to);
    let why = match context.store.check_fit_to_lead(to) {
        Err(StoreError::NotFit { reason, .. }) => reason,
        Err(_) | Ok(()) => "it was not elected",
    };
    let seconds = FAILOVER_WAIT.as_secs();
    let text = format!("node {name} has not taken over within {seconds} seconds: {why}");
    Err(Fault::new(FaultCode::EnvironmentError, text))
}

/// In Ganeti's words (P81).
fn may_lead(state: &ClusterState, node: NodeUuid) -> Result<(), Fault> {
    if state.is_to_hold(node, &HolderWishes::default()) {
        return Ok(());
    }
    if !state.nodes.contains_key(&node) {
        return Err(Fault::new(FaultCode::UnknownEntity, format!("node {node} does not exist")));
    }
    let candidates = state.node_names.iter().filter(|(_, node)| {
        Some(**node) != state.master && state.is_to_hold(**node, &HolderWishes::default())
    });
    let names: Vec<&str> = candidates.map(|(name, _)| name.as_str()).collect();
    let text = format!(
        "This node is not among the nodes marked as master candidates. Only these nodes can \
         become masters. Current list of master candidates is:\n{}",
        names.join("\n")
    );
    Err(Fault::new(FaultCode::WrongState, text))
}
