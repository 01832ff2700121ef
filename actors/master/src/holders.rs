//! Who holds the log: the candidates of the configuration become holders, voters and, when they are
//! candidates no more, neither (rows P30–P33).
//!
//! One task for each reign. It looks every second, asks the nodes what is not known of them, and
//! does the next thing that [`ClusterState::next_holder_step`] names. Nothing of it is remembered
//! elsewhere: the log's membership and the nodes' own word are all that the next leader needs. It
//! also makes the leader known to nodes that do not hold the log. Deliberately absent: flags of
//! nodes, which jobs change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_engine::state::{ClusterState, HolderStep, Membership};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::messages::{FollowMaster, LogHeld, LogHolders};
use gantry_model::node_calls::node_path;
use gantry_model::objects::Node;
use gantry_store::MembershipForm;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::cluster_key;
use crate::context::MasterContext;

/// How often it is looked whether something is to be done. A look without a change goes over the
/// nodes in memory; higher and a new candidate is protected that much later.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a node may take to say how far it is. It writes some small files at most.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a node that did not answer is left alone. Lower costs messages to nodes that are off,
/// higher lets one that comes back follow the old leader for that long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long one change of the membership may take: a log is sent, or a majority writes an entry.
const CHANGE: Duration = Duration::from_secs(120);

/// How long a node that is to leave may go on holding the log. A change of voters needs a majority;
/// without one nothing else is done either.
const RELEASE: Duration = Duration::from_secs(60);

/// Nodes that are about to leave the cluster: they are to hold the log no more, whatever their
/// flags say. Shared by the jobs that make them leave and the task that takes the log from them.
#[derive(Clone, Default)]
pub(crate) struct Leaving {
    nodes: Arc<Mutex<BTreeSet<NodeUuid>>>,
    changed: Arc<Notify>,
}

impl Leaving {
    fn all(&self) -> BTreeSet<NodeUuid> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, node: NodeUuid, leaves: bool) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if leaves {
            nodes.insert(node)
        } else {
            nodes.remove(&node)
        };
        self.changed.notify_waiters();
    }
}

/// Waits until a node that is about to leave does not hold the log: its disks are then needed for
/// nothing.
pub(crate) async fn release(context: &MasterContext, node: NodeUuid) -> Result<(), Fault> {
    let is_out = || !membership(&context.store.members()).has(&node);
    let until = Instant::now() + RELEASE;
    context.leaving.set(node, true);
    while !is_out() {
        if Instant::now() >= until {
            context.leaving.set(node, false);
            let text = format!("node {node} still holds the log, which no majority changes");
            return Err(Fault::new(FaultCode::TempInsufficientResources, text).retry_later());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn membership(form: &MembershipForm) -> Membership {
    Membership {
        voters: form.voters.iter().flatten().copied().collect(),
        learners: form.learners.clone(),
        is_joint: form.voters.len() > 1,
    }
}

/// Who holds the log, for people.
pub(crate) fn shown(context: &MasterContext, state: &ClusterState) -> LogHolders {
    let Membership { voters, learners, .. } = membership(&context.store.members());
    let name = |node: NodeUuid| match state.nodes.get(&node) {
        Some(known) => known.name.to_string(),
        None => node.to_string(),
    };
    let names = |nodes: BTreeSet<NodeUuid>| {
        let mut names: Vec<String> = nodes.into_iter().map(name).collect();
        names.sort_unstable();
        names
    };
    LogHolders { voters: names(voters), learners: names(learners) }
}

/// Looks after the holders of the log until the reign ends.
pub(crate) async fn keep(context: MasterContext, mut ends: watch::Receiver<bool>) {
    let mut keeper = Keeper { context, asked: BTreeMap::new() };
    loop {
        let went_on = tokio::select! {
            biased;
            _ = ends.wait_for(|ends| *ends) => return,
            went_on = keeper.look() => went_on,
        };
        if went_on {
            continue;
        }
        let changed = Arc::clone(&keeper.context.leaving.changed);
        tokio::select! {
            biased;
            _ = ends.wait_for(|ends| *ends) => return,
            () = changed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What was asked of a node last.
struct Asked {
    at: Instant,
    hold: bool,
    said: Option<LogHeld>,
}

struct Keeper {
    context: MasterContext,
    asked: BTreeMap<NodeUuid, Asked>,
}

impl Keeper {
    /// Asks what must be known, and does the next thing; whether there was one.
    async fn look(&mut self) -> bool {
        let state = self.context.state();
        if state.divergence().is_some() || state.destroyed {
            return false;
        }
        let members = membership(&self.context.store.members());
        self.ask(&state, &members).await;
        let said = self.asked.iter().filter_map(|(node, asked)| Some((*node, asked.said?)));
        let leader = self.context.config.node;
        let leaving = self.context.leaving.all();
        let step = state.next_holder_step(leader, &leaving, &members, &said.collect());
        let Some(step) = step else { return false };
        match self.act(&step).await {
            Ok(()) => true,
            Err(fault) => {
                let fault = fault.one_line();
                tracing::warn!(?step, fault, "the holders of the log were not changed");
                false
            }
        }
    }

    /// Asks the nodes of which something is not known, all at once.
    async fn ask(&mut self, state: &ClusterState, members: &Membership) {
        let leader = self.context.config.node;
        let leaving = self.context.leaving.all();
        let wanted = state.wanted_holders(leader, &leaving);
        self.asked.retain(|node, _| state.nodes.contains_key(node));
        let Some(master) = state.nodes.get(&leader) else { return };
        let mut asking = Vec::new();
        // Who is about to leave puts everything away with that.
        let is_asked = |node: &&Arc<Node>| {
            node.uuid != leader && !node.offline && !leaving.contains(&node.uuid)
        };
        for node in state.nodes.values().filter(is_asked) {
            // Whoever is in the membership must not be told to put the log away.
            let hold = wanted.contains(&node.uuid) || members.has(&node.uuid);
            if self.is_known(node, hold, members, state) {
                continue;
            }
            let message = FollowMaster {
                reign: self.context.reign,
                master: leader,
                address: master.address.clone(),
                hold_log: hold,
            };
            let system = &self.context.system;
            let uuid = node.uuid;
            let asked = system.remote::<FollowMaster>(uuid.into(), node_path(uuid));
            asking.push(async move { (uuid, hold, asked.ask(message, ANSWER).await) });
        }
        for (node, hold, answer) in futures_util::future::join_all(asking).await {
            let said = match answer {
                Ok(Ok(held)) => Some(held),
                Ok(Err(fault)) => {
                    tracing::warn!(%node, fault = fault.one_line(), "a node does not follow");
                    None
                }
                Err(_) => None,
            };
            self.asked.insert(node, Asked { at: Instant::now(), hold, said });
        }
    }

    /// Whether nothing new can be learned from it now.
    fn is_known(
        &self,
        node: &Node,
        hold: bool,
        members: &Membership,
        state: &ClusterState,
    ) -> bool {
        let Some(asked) = self.asked.get(&node.uuid).filter(|asked| asked.hold == hold) else {
            return false;
        };
        let present = Some(state.trust.key_generation);
        let has_all = |said: LogHeld| said.holds == hold && (!hold || said.key >= present);
        let settled = asked.said.is_some_and(has_all) || members.voters.contains(&node.uuid);
        (settled && asked.said.is_some()) || asked.at.elapsed() < self.patience(asked)
    }

    /// A node that answers is on its way; one that does not is probably off.
    fn patience(&self, asked: &Asked) -> Duration {
        if asked.said.is_some() { LOOK_EVERY } else { ASK_AGAIN }
    }

    async fn act(&self, step: &HolderStep) -> Result<(), Fault> {
        let store = &self.context.store;
        let attempted = "change who holds the log";
        let failed =
            |error| Fault::from_error(FaultCode::TempInsufficientResources, attempted, &error);
        match step {
            HolderStep::Add(node) => {
                store.add_learner(*node, CHANGE).await.map_err(failed)?;
                tracing::info!(%node, "a node holds the log");
            }
            HolderStep::Vote(voters) => {
                store.change_voters(voters.clone(), CHANGE).await.map_err(failed)?;
                tracing::info!(n_voters = voters.len(), "the voters have changed");
            }
            HolderStep::Remove(node) => {
                store.remove_learner(*node, CHANGE).await.map_err(failed)?;
                tracing::info!(%node, "a node holds the log no more");
                // It has the old key for as long as it likes.
                cluster_key::rotate(&self.context).await?;
            }
        }
        Ok(())
    }
}
