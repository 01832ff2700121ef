//! OP_CLUSTER_RENEW_CRYPTO (rows O16, C27, P65): new certificates, and a new authority if wanted.
//!
//! Nothing is stopped. With a new authority: (a) it is made and believed beside the old one, (b)
//! every node believes both, (c) it signs, and every node gets a certificate of it, (d) the old one
//! is believed only of nodes that could not be reached, and only to renew, (e) the others stop
//! believing it. Without, only (c). A node that does not answer is no reason to fail: it renews by
//! itself when it comes back. The master is: nobody could come back to it.

use std::collections::BTreeSet;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::ClusterState;
use gantry_model::deltas::ConfigDelta;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::NodeUuid;
use gantry_model::locks::{LockMode, LockName};
use gantry_model::names::NodeName;
use gantry_model::node_calls::{NodeRenewCertificate, NodeTrust};
use gantry_model::opcodes::ClusterRenewCrypto;
use gantry_model::steps::{Act, Step, StepRecord, StepResult};
use gantry_model::trust::{AuthorityRecord, SealedSecret, TrustChange};
use gantry_model::units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lu::{LogicalUnit, need, one_stage};

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The master, which cannot be left out.
    master: Member,
    /// The others that are to be asked.
    nodes: Vec<Member>,
    /// Nodes that are marked offline: not asked.
    offline: Vec<Member>,
    /// The authority that signs now.
    signing: AuthorityRecord,
    /// The one that takes its place, and its key.
    successor: Option<(AuthorityRecord, SealedSecret)>,
    /// Certificates made before this are not new.
    issued_from: Timestamp,
    /// Every step says what it does.
    verbose: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    uuid: NodeUuid,
    name: NodeName,
}

impl LogicalUnit for ClusterRenewCrypto {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let refuse = |text: &str| Err(Fault::new(FaultCode::WrongInput, text));
        if self.renew_ssh_keys || self.ssh_key_type.is_some() || self.ssh_key_bits.is_some() {
            return refuse(
                "ssh keys cannot be renewed: nodes talk over mutual TLS and have no ssh keys",
            );
        }
        if !self.node_certificates && !self.cluster_certificate {
            return refuse("nothing to renew: ask for node or cluster certificates");
        }
        Ok(())
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        let nodes = state.nodes.keys();
        Ok(one_stage(nodes.map(|node| (LockName::node(*node), LockMode::Exclusive))))
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let master = master_of(state)?.uuid;
        let wanted = self.cluster_certificate.then_some((master, FactQuery::NewAuthority));
        Ok(wanted.into_iter().collect())
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let master = master_of(state)?;
        let Some(signing) = state.trust.signing.clone() else {
            return Err(Fault::new(FaultCode::WrongState, "the cluster has no authority"));
        };
        let mut successor = None;
        if self.cluster_certificate {
            may_rotate(state)?;
            let query = FactQuery::NewAuthority;
            match need(facts, master.uuid, &query, master.name.as_str())? {
                Fact::NewAuthority { authority, secret } => {
                    successor = Some((authority.clone(), secret.clone()));
                }
                other => {
                    let text = format!("the master made no authority but {other:?}");
                    return Err(Fault::new(FaultCode::InternalError, text));
                }
            }
        }
        let others = state.nodes.values().filter(|node| node.uuid != master.uuid);
        let (offline, online): (Vec<_>, Vec<_>) = others.partition(|node| node.offline);
        let member = |node: &std::sync::Arc<gantry_model::objects::Node>| Member {
            uuid: node.uuid,
            name: node.name.clone(),
        };
        Ok(Plan {
            master,
            nodes: online.into_iter().map(member).collect(),
            offline: offline.into_iter().map(member).collect(),
            signing,
            successor,
            issued_from: facts.now,
            verbose: self.verbose,
        })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        self.steps_after(plan, &[])
    }

    /// Who is pending is known only after everybody has been asked to renew.
    fn steps_after(&self, plan: &Plan, done: &[StepRecord]) -> Vec<Step> {
        let Some((successor, secret)) = &plan.successor else {
            return renewals(plan, &plan.signing);
        };
        let mut steps = vec![add_authority(plan, successor, secret)];
        let both = format!("{}{}", plan.signing.certificate, successor.certificate);
        let everybody = std::iter::once(&plan.master).chain(&plan.nodes);
        steps.extend(everybody.map(|node| believe(plan, node, &both, "both authorities")));
        steps.push(switch(plan, successor));
        steps.extend(renewals(plan, successor));
        let left_behind = not_renewed(plan, done);
        steps.push(retire(plan, &left_behind));
        let renewed = std::iter::once(&plan.master)
            .chain(&plan.nodes)
            .filter(|node| !left_behind.contains(&node.uuid));
        let alone = &successor.certificate;
        steps.extend(renewed.map(|node| {
            // The old authority is retired: nothing can be taken back any more.
            let step = believe(plan, node, alone, "the new authority alone");
            step.may_fail().undone_by(None)
        }));
        steps
    }
}

fn believe(plan: &Plan, node: &Member, bundle: &str, what: &str) -> Step {
    let call = |bundle: &str| Act::call(node.uuid, NodeTrust { bundle: bundle.to_owned() });
    let name = format!("node {} believes {what}", node.name);
    let line = plan.verbose.then(|| format!("  {name}"));
    Step::new(name, call(bundle))
        .undone_by(call(&plan.signing.certificate))
        .may_fail_if(node.uuid != plan.master.uuid)
        .says_if(line)
}

fn master_of(state: &ClusterState) -> Result<Member, Fault> {
    let node = state.master.and_then(|master| state.nodes.get(&master));
    node.map(|node| Member { uuid: node.uuid, name: node.name.clone() })
        .ok_or_else(|| Fault::new(FaultCode::WrongState, "there is no master"))
}

/// One rotation at a time: a third authority would leave the first one's nodes with nobody.
fn may_rotate(state: &ClusterState) -> Result<(), Fault> {
    if state.trust.other.is_some() {
        let text = "the authority is being replaced already";
        return Err(Fault::new(FaultCode::WrongState, text).retry_later());
    }
    let Some(retiring) = &state.trust.retiring else { return Ok(()) };
    let names: Vec<String> =
        retiring.pending.iter().map(|node| state.name_of_node(*node)).collect();
    let text = format!(
        "nodes still have certificates of the authority before, start or remove them first: {}",
        names.join(", ")
    );
    Err(Fault::new(FaultCode::WrongState, text))
}

fn trust(change: TrustChange) -> Act {
    Act::change(ConfigDelta::Trust(Box::new(change)))
}

fn add_authority(plan: &Plan, successor: &AuthorityRecord, secret: &SealedSecret) -> Step {
    let (authority, secret) = (successor.clone(), secret.clone());
    let fingerprint = successor.fingerprint.clone();
    let offline: Vec<&str> = plan.offline.iter().map(|node| node.name.as_str()).collect();
    let left_out = match offline.as_slice() {
        [] => String::new(),
        names => format!(" (offline, will renew when they are back: {})", names.join(", ")),
    };
    Step::new("add the new authority", trust(TrustChange::AuthorityAdd { authority, secret }))
        .undone_by(trust(TrustChange::AuthorityDrop { fingerprint }))
        .says(format!("* replacing the cluster's authority{left_out}"))
}

fn switch(plan: &Plan, successor: &AuthorityRecord) -> Step {
    let to = |authority: &AuthorityRecord| {
        trust(TrustChange::AuthoritySwitch { fingerprint: authority.fingerprint.clone() })
    };
    Step::new("sign with the new authority", to(successor)).undone_by(to(&plan.signing))
}

/// The master last: as long as it has its old certificate, whoever missed the bundle reaches it.
fn renewals(plan: &Plan, authority: &AuthorityRecord) -> Vec<Step> {
    let order = plan.nodes.iter().chain(std::iter::once(&plan.master));
    // Nothing takes it back: a node with a newer certificate than it had is not worse off.
    let step = |node: &Member| {
        let authority = authority.fingerprint.clone();
        let call = NodeRenewCertificate { authority, issued_from: plan.issued_from };
        Step::new(renewal_name(node), Act::call(node.uuid, call))
            .may_fail_if(node.uuid != plan.master.uuid)
            .says(format!("* new certificate for node {}", node.name))
    };
    order.map(step).collect()
}

fn renewal_name(node: &Member) -> String {
    format!("renew the certificate of node {}", node.name)
}

/// Everybody of whom it is not known that it has a new certificate.
fn not_renewed(plan: &Plan, done: &[StepRecord]) -> BTreeSet<NodeUuid> {
    let has_renewed = |node: &&Member| {
        let name = renewal_name(node);
        done.iter().any(|record| {
            record.step.name == name && matches!(record.result, Some(StepResult::Done(_)))
        })
    };
    let asked = plan.nodes.iter().filter(|node| !has_renewed(node));
    asked.chain(&plan.offline).map(|node| node.uuid).collect()
}

fn retire(plan: &Plan, pending: &BTreeSet<NodeUuid>) -> Step {
    let fingerprint = plan.signing.fingerprint.clone();
    let names: Vec<&str> = plan
        .nodes
        .iter()
        .chain(&plan.offline)
        .filter(|node| pending.contains(&node.uuid))
        .map(|node| node.name.as_str())
        .collect();
    let line = match names.as_slice() {
        [] => "* the old authority is not believed any more".to_owned(),
        names => format!(
            "* the old authority is believed only of nodes that have not renewed: {}",
            names.join(", ")
        ),
    };
    let act = trust(TrustChange::AuthorityRetire { fingerprint, pending: pending.clone() });
    Step::new("retire the old authority", act).settles().says(line)
}

#[cfg(test)]
mod tests;
