//! Which existing objects an opcode names, so that names can be completed in one place (C208).

use crate::names::{InstanceName, NodeName};
use crate::opcodes::{OpCode, TagsDel, TagsSet};
use crate::tags::TagObject;

/// The names in an opcode that must be those of objects which exist.
#[derive(Debug, Default)]
pub struct Named<'a> {
    /// Of nodes.
    pub nodes: Vec<&'a mut NodeName>,
    /// Of instances.
    pub instances: Vec<&'a mut InstanceName>,
}

impl OpCode {
    /// The names of existing objects in it. What an opcode is about to make is not among them.
    #[must_use]
    pub fn named(&mut self) -> Named<'_> {
        let node = |name| Named { nodes: vec![name], ..Named::default() };
        let instance = |name| Named { instances: vec![name], ..Named::default() };
        match self {
            Self::ClusterDestroy(_)
            | Self::ClusterRenewCrypto(_)
            | Self::ClusterSetParams(_)
            | Self::NodeAdd(_) => Named::default(),
            Self::NodeRemove(op) => node(&mut op.node_name),
            Self::NodeSetParams(op) => node(&mut op.node_name),
            Self::InstanceCreate(op) => {
                Named { nodes: op.primary_node.iter_mut().collect(), ..Named::default() }
            }
            Self::InstanceRemove(op) => instance(&mut op.instance_name),
            Self::InstanceReinstall(op) => instance(&mut op.instance_name),
            Self::InstanceStartup(op) => instance(&mut op.instance_name),
            Self::InstanceShutdown(op) => instance(&mut op.instance_name),
            Self::InstanceReboot(op) => instance(&mut op.instance_name),
            Self::TagsSet(TagsSet { object, .. }) | Self::TagsDel(TagsDel { object, .. }) => {
                match object {
                    TagObject::Node(name) => node(name),
                    TagObject::Instance(name) => instance(name),
                    // A group is named by all of its name.
                    TagObject::Cluster | TagObject::Nodegroup(_) => Named::default(),
                }
            }
            Self::TestDelay(op) => {
                Named { nodes: op.on_nodes.iter_mut().collect(), ..Named::default() }
            }
            #[cfg(feature = "next-version")]
            Self::TestNext(_) => Named::default(),
        }
    }
}
