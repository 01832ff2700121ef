//! Applying changes of the configuration.

use std::sync::Arc;

use gantry_model::deltas::{ClusterChange, ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, NodeUuid, Serial};
use gantry_model::objects::{AdminState, Instance, JoinTokenRecord, Node, NodeChange, NodeRole};
use gantry_model::units::Timestamp;

use super::ClusterState;

impl ClusterState {
    /// Makes all changes, or none.
    pub(super) fn change_config(
        &mut self,
        deltas: &[ConfigDelta],
        at: Timestamp,
    ) -> Result<(), Fault> {
        self.check_lives()?;
        let mut changed = self.clone();
        for delta in deltas {
            changed.change_one(delta, at)?;
        }
        *self = changed;
        Ok(())
    }

    fn change_one(&mut self, delta: &ConfigDelta, at: Timestamp) -> Result<(), Fault> {
        match delta {
            ConfigDelta::ClusterDestroy => self.destroy(),
            ConfigDelta::NodeAdd(node) => self.add_node(node),
            ConfigDelta::NodeRemove { node } => self.remove_node(*node),
            ConfigDelta::NodeChange { node, expected, change } => {
                self.change_node(*node, *expected, change, at)
            }
            ConfigDelta::ClusterChange { expected, change } => {
                self.change_cluster(*expected, change, at)
            }
            ConfigDelta::TokenIssue(token) => self.issue_token(token, at),
            ConfigDelta::TokenRedeem { secret_hash, key_hash } => {
                self.redeem_token(secret_hash, key_hash, at)
            }
            ConfigDelta::Trust(change) => self.change_trust(change),
            ConfigDelta::InstanceAdd(instance) => self.add_instance(instance),
            ConfigDelta::InstanceRemove { instance } => self.remove_instance(*instance),
            ConfigDelta::Tags { object, add, remove } => self.change_tags(*object, add, remove, at),
            ConfigDelta::InstanceChange { instance, expected, change } => {
                self.change_instance(*instance, *expected, change, at)
            }
        }
    }

    fn destroy(&mut self) -> Result<(), Fault> {
        if !self.instances.is_empty() {
            return refuse(FaultCode::WrongState, "the cluster still has instances");
        }
        self.destroyed = true;
        Ok(())
    }

    fn add_node(&mut self, node: &Node) -> Result<(), Fault> {
        if self.node_names.contains_key(&node.name) {
            let text = format!("node {} is already in the cluster", node.name);
            return refuse(FaultCode::AlreadyExists, text);
        }
        if self.nodes.contains_key(&node.uuid) {
            let text = format!("a node with id {} is already in the cluster", node.uuid);
            return refuse(FaultCode::AlreadyExists, text);
        }
        self.node_names.insert(node.name.clone(), node.uuid);
        self.nodes.insert(node.uuid, Arc::new(node.clone()));
        Ok(())
    }

    /// Its join token goes with it: a node that was removed needs a new one to come back.
    fn remove_node(&mut self, uuid: NodeUuid) -> Result<(), Fault> {
        let Some(node) = self.nodes.get(&uuid) else {
            return refuse(FaultCode::UnknownEntity, format!("node {uuid} does not exist"));
        };
        if let Some(instance) = self.instances.values().find(|i| i.primary == uuid) {
            let text = format!("instance {} lives on node {}", instance.name, node.name);
            return refuse(FaultCode::WrongState, text);
        }
        let name = node.name.clone();
        self.node_names.remove(&name);
        self.nodes.remove(&uuid);
        self.forget_tokens(|token| token.node == uuid);
        self.not_pending(uuid);
        Ok(())
    }

    /// The master stays a candidate, whoever decided what when: a takeover may have come between
    /// (P34).
    fn change_node(
        &mut self,
        uuid: NodeUuid,
        expected: Option<Serial>,
        change: &NodeChange,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let master = self.master;
        let Some(node) = self.nodes.get_mut(&uuid) else {
            return refuse(FaultCode::UnknownEntity, format!("node {uuid} does not exist"));
        };
        if expected.is_some_and(|expected| expected != node.serial) {
            let text = format!("node {} has changed meanwhile, retry the operation", node.name);
            return Err(Fault::new(FaultCode::WrongState, text).retry_later());
        }
        let takes_out = change.role.is_some_and(|role| role != NodeRole::Candidate);
        if master == Some(uuid) && (takes_out || change.master_capable == Some(false)) {
            let text = format!("node {} is the master, which stays a candidate", node.name);
            return refuse(FaultCode::WrongState, text);
        }
        let node = Arc::make_mut(node);
        change.make(node);
        node.serial = node.serial.next();
        node.mtime = at;
        Ok(())
    }

    fn change_cluster(
        &mut self,
        expected: Option<Serial>,
        change: &ClusterChange,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let Some(cluster) = &mut self.cluster else {
            return refuse(FaultCode::WrongState, "there is no cluster");
        };
        if expected.is_some_and(|expected| expected != cluster.serial) {
            let text = "the cluster has changed meanwhile, retry the operation";
            return Err(Fault::new(FaultCode::WrongState, text).retry_later());
        }
        let cluster = Arc::make_mut(cluster);
        if let Some(size) = change.candidate_pool_size {
            cluster.candidate_pool_size = size;
        }
        cluster.serial = cluster.serial.next();
        cluster.mtime = at;
        Ok(())
    }

    pub(super) fn forget_tokens(&mut self, forgotten: impl Fn(&JoinTokenRecord) -> bool) {
        let hashes: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, token)| forgotten(token.as_ref()))
            .map(|(hash, _)| hash.clone())
            .collect();
        for hash in hashes {
            self.tokens.remove(&hash);
        }
    }

    /// Issues a token; expired and used ones of the same name go, so that their number is bounded
    /// by that of nodes being added.
    fn issue_token(&mut self, token: &JoinTokenRecord, at: Timestamp) -> Result<(), Fault> {
        if self.node_names.contains_key(&token.node_name) {
            let text = format!("node {} is already in the cluster", token.node_name);
            return refuse(FaultCode::AlreadyExists, text);
        }
        self.forget_tokens(|old| old.expires <= at || old.node_name == token.node_name);
        self.tokens.insert(token.secret_hash.clone(), Arc::new(token.clone()));
        Ok(())
    }

    fn redeem_token(
        &mut self,
        secret_hash: &str,
        key_hash: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let Some(token) = self.tokens.get_mut(secret_hash) else {
            return refuse(FaultCode::Forbidden, "the join token is not known to this cluster");
        };
        if token.expires <= at {
            return refuse(FaultCode::Forbidden, "the join token has expired");
        }
        if token.redeemed_by.as_deref().is_some_and(|used_by| used_by != key_hash) {
            return refuse(FaultCode::Forbidden, "the join token has been used already");
        }
        Arc::make_mut(token).redeemed_by = Some(key_hash.to_owned());
        Ok(())
    }

    fn add_instance(&mut self, instance: &Instance) -> Result<(), Fault> {
        if self.instance_names.contains_key(&instance.name) {
            let text = format!("instance {} is already in the cluster", instance.name);
            return refuse(FaultCode::AlreadyExists, text);
        }
        if self.instances.contains_key(&instance.uuid) {
            let text = format!("an instance with id {} is already in the cluster", instance.uuid);
            return refuse(FaultCode::AlreadyExists, text);
        }
        if !self.nodes.contains_key(&instance.primary) {
            let text = format!("node {} does not exist", instance.primary);
            return refuse(FaultCode::WrongState, text);
        }
        self.reserve(instance)?;
        self.instance_names.insert(instance.name.clone(), instance.uuid);
        self.instances.insert(instance.uuid, Arc::new(instance.clone()));
        Ok(())
    }

    /// What an instance has for itself alone. Two that were decided at the same time may have
    /// chosen the same; the second is refused.
    fn reserve(&mut self, instance: &Instance) -> Result<(), Fault> {
        for nic in &instance.nics {
            if self.macs.insert(nic.mac.clone(), instance.uuid).is_some() {
                let text = format!("MAC address {} already in use in cluster", nic.mac);
                return refuse(FaultCode::ResourceNotUnique, text);
            }
        }
        if let Some(port) = instance.network_port
            && self.network_ports.insert(port, instance.uuid).is_some()
        {
            let text = format!("network port {port} has just been given to another instance");
            return Err(Fault::new(FaultCode::ResourceNotUnique, text).retry_later());
        }
        Ok(())
    }

    /// Removing what is not there is fine: it is also how an addition is taken back.
    fn remove_instance(&mut self, uuid: InstanceUuid) -> Result<(), Fault> {
        if let Some(instance) = self.instances.remove(&uuid) {
            self.instance_names.remove(&instance.name);
            self.transitions.remove(&uuid);
            for nic in &instance.nics {
                self.macs.remove(&nic.mac);
            }
            if let Some(port) = instance.network_port {
                self.network_ports.remove(&port);
            }
        }
        Ok(())
    }

    fn change_instance(
        &mut self,
        uuid: InstanceUuid,
        expected: Option<Serial>,
        change: &InstanceChange,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let Some(instance) = self.instances.get_mut(&uuid) else {
            return refuse(FaultCode::UnknownEntity, format!("instance {uuid} does not exist"));
        };
        if let Some(expected) = expected.filter(|expected| *expected != instance.serial) {
            let text = format!(
                "instance {} has changed meanwhile (serial {}, expected {expected}), retry the \
                 operation",
                instance.name, instance.serial
            );
            return Err(Fault::new(FaultCode::WrongState, text).retry_later());
        }
        let instance = Arc::make_mut(instance);
        match change {
            InstanceChange::AdminState(state) => instance.admin_state = *state,
            InstanceChange::Os { os, osparams, osparams_private } => {
                instance.os.clone_from(os);
                instance.osparams.clone_from(osparams);
                instance.osparams_private.clone_from(osparams_private);
            }
            InstanceChange::Start { epoch, remember } => {
                if *epoch <= instance.run_epoch {
                    let text = format!(
                        "instance {}: epoch {epoch} is not above {}",
                        instance.name, instance.run_epoch
                    );
                    // Not a stale token: that would tell the job that it has a successor.
                    return refuse(FaultCode::WrongState, text);
                }
                instance.run_epoch = *epoch;
                if *remember {
                    instance.admin_state = AdminState::Up;
                }
            }
        }
        instance.serial = instance.serial.next();
        instance.mtime = at;
        Ok(())
    }
}

pub(super) fn refuse(code: FaultCode, text: impl Into<String>) -> Result<(), Fault> {
    Err(Fault::new(code, text))
}
