//! Applying changes of tags.

use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::Serial;
use gantry_model::tags::{Tagged, changed_tags};
use gantry_model::units::Timestamp;

use super::ClusterState;
use super::config::refuse;

impl ClusterState {
    /// As every change of an object it counts, also when nothing is different afterwards.
    pub(super) fn change_tags(
        &mut self,
        object: Tagged,
        add: &[String],
        remove: &[String],
        at: Timestamp,
    ) -> Result<(), Fault> {
        let change = |tags: &mut Vec<String>, serial: &mut Serial, mtime: &mut Timestamp| {
            *tags = changed_tags(tags, add, remove)
                .map_err(|error| Fault::new(FaultCode::InvalidTag, error.to_string()))?;
            *serial = serial.next();
            *mtime = at;
            Ok(())
        };
        match object {
            Tagged::Cluster => match &mut self.cluster {
                Some(cluster) => {
                    let cluster = Arc::make_mut(cluster);
                    change(&mut cluster.tags, &mut cluster.serial, &mut cluster.mtime)
                }
                None => refuse(FaultCode::WrongState, "there is no cluster"),
            },
            Tagged::Node(uuid) => match self.nodes.get_mut(&uuid) {
                Some(node) => {
                    let node = Arc::make_mut(node);
                    change(&mut node.tags, &mut node.serial, &mut node.mtime)
                }
                None => gone("node", uuid),
            },
            Tagged::Nodegroup(uuid) => match self.groups.get_mut(&uuid) {
                Some(group) => {
                    let group = Arc::make_mut(group);
                    change(&mut group.tags, &mut group.serial, &mut group.mtime)
                }
                None => gone("node group", uuid),
            },
            Tagged::Instance(uuid) => match self.instances.get_mut(&uuid) {
                Some(instance) => {
                    let instance = Arc::make_mut(instance);
                    change(&mut instance.tags, &mut instance.serial, &mut instance.mtime)
                }
                None => gone("instance", uuid),
            },
        }
    }
}

fn gone(what: &str, uuid: impl std::fmt::Display) -> Result<(), Fault> {
    refuse(FaultCode::UnknownEntity, format!("{what} {uuid} does not exist"))
}
