//! Objects by what people type: a name, the first labels of one, or an id (C208).
//!
//! `node1` is `node1.example.com` if no other name begins with `node1.`; a name that is complete
//! wins. Everything that takes a name from outside goes through here, so that a name means the same
//! to a query and to a job.

use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, NodeUuid};
use gantry_model::names::{InstanceName, NodeName};
use gantry_model::objects::{Instance, Node};
use imbl::OrdMap;

use super::ClusterState;

/// Candidates named when a name is not unique. More would bury the sentence.
const CANDIDATES_MAX: usize = 5;

impl ClusterState {
    /// What a node is called, for people: its name, or its id where the configuration does not know
    /// it (any more).
    #[must_use]
    pub fn name_of_node(&self, node: NodeUuid) -> String {
        self.nodes.get(&node).map_or_else(|| node.to_string(), |node| node.name.to_string())
    }

    /// The node that is meant by this text.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find_node(&self, typed: &str) -> Result<&Arc<Node>, Fault> {
        if let Some(node) = typed.parse().ok().and_then(|uuid: NodeUuid| self.nodes.get(&uuid)) {
            return Ok(node);
        }
        let name = NodeName::new(typed).map_err(|_| not_known("Node", typed))?;
        let uuid = complete("Node", &self.node_names, &name, NodeName::as_str)?;
        self.nodes.get(uuid).ok_or_else(|| not_known("Node", typed))
    }

    /// The instance that is meant by this text.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find_instance(&self, typed: &str) -> Result<&Arc<Instance>, Fault> {
        let by_uuid = |uuid: InstanceUuid| self.instances.get(&uuid);
        if let Some(instance) = typed.parse().ok().and_then(by_uuid) {
            return Ok(instance);
        }
        let name = InstanceName::new(typed).map_err(|_| not_known("Instance", typed))?;
        let uuid = complete("Instance", &self.instance_names, &name, InstanceName::as_str)?;
        self.instances.get(uuid).ok_or_else(|| not_known("Instance", typed))
    }
}

fn complete<'a, N: Ord + Clone, U: Clone>(
    what: &str,
    names: &'a OrdMap<N, U>,
    typed: &N,
    as_str: fn(&N) -> &str,
) -> Result<&'a U, Fault> {
    if let Some(found) = names.get(typed) {
        return Ok(found);
    }
    let start = as_str(typed);
    // Sorted, so all that begin with the text are neighbours.
    let longer: Vec<(&N, &U)> = names
        .range(typed.clone()..)
        .take_while(|(name, _)| as_str(name).starts_with(start))
        .filter(|(name, _)| as_str(name)[start.len()..].starts_with('.'))
        .collect();
    match longer.as_slice() {
        [] => Err(not_known(what, start)),
        [(_, found)] => Ok(found),
        several => {
            let names = several.iter().take(CANDIDATES_MAX).map(|(name, _)| as_str(name));
            let names = names.collect::<Vec<_>>().join(", ");
            let text = format!("{what} {start} is not unique, it could be any of: {names}");
            Err(Fault::new(FaultCode::ResourceNotUnique, text))
        }
    }
}

/// The fault of an object that a job is to act on and that does not exist, in Ganeti's words;
/// `what` begins a sentence.
#[must_use]
pub fn not_known(what: &str, name: &str) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("{what} '{name}' not known"))
}

/// The fault of a name in a list of what is to be shown, in Ganeti's words for that case.
pub(crate) fn not_found(what: &str, name: &str) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("{what} name {name} not found"))
}

/// The fault of what is known by something else than a name.
pub(crate) fn unknown(what: &str, name: &str) -> Fault {
    Fault::new(FaultCode::UnknownEntity, format!("{what} {name} does not exist"))
}
