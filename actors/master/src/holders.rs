//! Who holds the log: the candidates of the configuration become holders, voters and, when they are
//! candidates no more, neither (rows P30–P33).
//!
//! One task for each reign. It looks every second, asks the nodes what is not known of them, and
//! does the next thing that [`ClusterState::next_holder_step`] names. Nothing of it is remembered
//! elsewhere: the log's membership and the nodes' own word are all that the next leader needs. It
//! also makes the leader known to nodes that do not hold the log. Deliberately absent: flags of
//! nodes, which jobs change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_engine::state::{ClusterState, HolderStep, Membership};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::messages::{FollowMaster, LogHeld, LogHolders};
use gantry_model::node_calls::node_path;
use gantry_model::objects::Node;
use gantry_store::MembershipForm;
use tokio::sync::watch;
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

/// How long a voter may take to lead. An election takes a second at most.
const HAND_OVER: Duration = Duration::from_secs(10);

/// How often a leader that is no candidate tries to hand over. Each attempt that fails costs the
/// cluster the moment in which nobody may write.
const HAND_OVER_AGAIN: Duration = Duration::from_secs(30);

pub(crate) fn membership(form: &MembershipForm) -> Membership {
    Membership {
        voters: form.voters.iter().flatten().copied().collect(),
        learners: form.learners.clone(),
        is_joint: form.voters.len() > 1,
    }
}

/// Who holds the log, for people.
pub(crate) fn shown(context: &MasterContext, state: &ClusterState) -> LogHolders {
    let Membership { voters, learners, .. } = membership(&context.store.members());
    let names = |nodes: BTreeSet<NodeUuid>| {
        let mut names: Vec<String> =
            nodes.into_iter().map(|node| state.name_of_node(node)).collect();
        names.sort_unstable();
        names
    };
    LogHolders { voters: names(voters), learners: names(learners) }
}

/// Looks after the holders of the log until the reign ends.
pub(crate) async fn keep(context: MasterContext, mut ends: watch::Receiver<bool>) {
    let mut keeper = Keeper { context, asked: BTreeMap::new(), handed_over: None };
    loop {
        let went_on = tokio::select! {
            biased;
            _ = ends.wait_for(|ends| *ends) => return,
            went_on = keeper.look() => went_on,
        };
        if went_on {
            continue;
        }
        let wishes = keeper.context.wishes.clone();
        tokio::select! {
            biased;
            _ = ends.wait_for(|ends| *ends) => return,
            () = wishes.changed() => {}
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
    /// When it was tried last.
    handed_over: Option<Instant>,
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
        let (leader, wishes) = (self.context.config.node, self.context.wishes.all());
        let step = state.next_holder_step(leader, &wishes, &members, &said.collect());
        let Some(step) = step else { return false };
        if let HolderStep::HandOver(_) = &step {
            let lately = self.handed_over.is_some_and(|at| at.elapsed() < HAND_OVER_AGAIN);
            if wishes.next.is_none() && lately {
                return false;
            }
            self.handed_over = Some(Instant::now());
        }
        match self.act(&step).await {
            Ok(()) => !matches!(step, HolderStep::HandOver(_)),
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
        let wishes = self.context.wishes.all();
        let wanted = state.wanted_holders(leader, &wishes);
        self.asked.retain(|node, _| state.nodes.contains_key(node));
        let Some(master) = state.nodes.get(&leader) else { return };
        let mut asking = Vec::new();
        // Who is about to leave puts everything away with that.
        let is_asked = |node: &&Arc<Node>| {
            node.uuid != leader && !node.offline && !wishes.leaving.contains(&node.uuid)
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
            HolderStep::HandOver(node) => {
                tracing::info!(%node, "another node is to lead");
                store.transfer_leadership(*node, HAND_OVER).await.map_err(failed)?;
            }
        }
        Ok(())
    }
}
