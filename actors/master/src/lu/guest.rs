//! What several units on instances share: finding one, its guest's description, its locks.

use std::sync::Arc;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::{InstanceUuid, RunEpoch, Serial};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::names::InstanceName;
use gantry_model::node_calls::{InstanceStart, InstanceStop};
use gantry_model::objects::{AdminState, Cluster, Disk, GuestSpec, Instance, Node};
use gantry_model::params::{HvParams, ParamError};
use gantry_model::report::GuestReport;
use gantry_model::steps::{Act, Step};
use gantry_model::units::{MiB, Millis};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{first_stage, last_stage, need, one_stage};

/// The cluster; every unit but none before its first entry needs it.
pub(super) fn cluster(state: &ClusterState) -> Result<&Arc<Cluster>, Fault> {
    state.cluster.as_ref().ok_or_else(|| Fault::new(FaultCode::WrongState, "there is no cluster"))
}

/// An instance by name.
pub(super) fn find<'a>(
    state: &'a ClusterState,
    name: &InstanceName,
) -> Result<&'a Arc<Instance>, Fault> {
    state.instance_by_name(name).ok_or_else(|| not_known("Instance", name.as_str()))
}

/// Its primary node, online or not.
pub(super) fn home<'a>(
    state: &'a ClusterState,
    instance: &Instance,
) -> Result<&'a Arc<Node>, Fault> {
    state.nodes.get(&instance.primary).ok_or_else(|| {
        let text = format!("primary node of instance {} does not exist", instance.name);
        Fault::new(FaultCode::InternalError, text)
    })
}

/// Its primary node, which must be online.
pub(super) fn primary<'a>(
    state: &'a ClusterState,
    instance: &Instance,
) -> Result<&'a Arc<Node>, Fault> {
    let node = home(state, instance)?;
    if node.offline {
        let text = format!("node {} of instance {} is offline", node.name, instance.name);
        return Err(Fault::new(FaultCode::WrongState, text));
    }
    Ok(node)
}

/// The instance alone.
pub(super) fn instance_lock(state: &ClusterState, name: &InstanceName) -> Result<LockStage, Fault> {
    find(state, name)?;
    Ok(one_stage([(LockName::instance(name), LockMode::Exclusive)]))
}

/// The instance, then what its node lends it: which node that is, is only certain under the first.
pub(super) fn instance_then_node_locks(
    stage: u32,
    state: &ClusterState,
    name: &InstanceName,
    with_node: bool,
) -> Result<LockStage, Fault> {
    let instance = find(state, name)?;
    if stage == 0 {
        return Ok(first_stage([(LockName::instance(name), LockMode::Exclusive)]));
    }
    let mut locks = vec![(LockName::node_res(instance.primary), LockMode::Exclusive)];
    if with_node {
        locks.push((LockName::node(instance.primary), LockMode::Exclusive));
    }
    Ok(last_stage(locks))
}

/// What the node is told of a guest that is to be started.
pub(super) fn spec(cluster: &Cluster, instance: &Instance, epoch: RunEpoch) -> GuestSpec {
    let beparams = instance.beparams.over(&cluster.beparams);
    let hvparams = instance.hvparams.over(&cluster.hvparams);
    let from_pool = matches!(&hvparams, HvParams::Kvm(kvm) if kvm.security_model == "pool");
    GuestSpec {
        instance: instance.uuid,
        name: instance.name.clone(),
        uid_pool: if from_pool { cluster.settings.uid_pool.clone() } else { Vec::new() },
        hvparams,
        memory: MiB(u64::from(beparams.maxmem)),
        vcpus: beparams.vcpus,
        disks: instance.disks.clone(),
        nics: instance.nics.iter().map(|nic| nic.filled(&cluster.nicparams)).collect(),
        epoch,
        network_port: instance.network_port,
        tags: instance.tags.clone(),
    }
}

/// Asks whether the guest runs.
pub(super) fn guest_query(instance: &Instance) -> FactQuery {
    FactQuery::Guest { instance: instance.uuid, hypervisor: instance.hypervisor() }
}

/// Whether the guest runs, as its node says.
pub(super) fn running<'a>(
    facts: &'a Facts,
    instance: &Instance,
    node: &Node,
) -> Result<Option<&'a GuestReport>, Fault> {
    match need(facts, node.uuid, &guest_query(instance), node.name.as_str())? {
        Fact::Guest(report) => Ok(report.as_ref()),
        other => Err(unexpected(other)),
    }
}

/// A node that can run the guest, with enough memory; returns warnings.
pub(super) fn can_run(facts: &Facts, node: &Node, spec: &GuestSpec) -> Result<Vec<String>, Fault> {
    let name = node.name.as_str();
    match need(facts, node.uuid, &FactQuery::Node, name)? {
        Fact::Node(info) if info.memory_free < spec.memory => {
            let text = format!(
                "not enough memory on node {name} for instance {}: needed {}, free {}",
                spec.name, spec.memory, info.memory_free
            );
            return Err(Fault::new(FaultCode::InsufficientResources, text));
        }
        Fact::Node(_) => {}
        other => return Err(unexpected(other)),
    }
    match need(facts, node.uuid, &FactQuery::CanRun(Box::new(spec.clone())), name)? {
        Fact::CanRun { warnings } => Ok(warnings.clone()),
        other => Err(unexpected(other)),
    }
}

/// A parameter that cannot be as it is wanted.
pub(super) fn refused(error: &ParamError) -> Fault {
    Fault::new(FaultCode::WrongInput, error.to_string())
}

/// Whether its parameters go together, with the cluster's where it has none.
pub(super) fn check_parameters(cluster: &Cluster, instance: &Instance) -> Result<(), Fault> {
    let beparams = instance.beparams.over(&cluster.beparams);
    let hvparams = instance.hvparams.over(&cluster.hvparams);
    hvparams.check(beparams.vcpus).map_err(|error| refused(&error))?;
    if beparams.minmem <= beparams.maxmem {
        return Ok(());
    }
    let text = format!(
        "beparams: minmem of {} MiB exceeds maxmem of {} MiB",
        beparams.minmem, beparams.maxmem
    );
    Err(Fault::new(FaultCode::WrongInput, text))
}

/// Not marked offline.
pub(super) fn not_offline(instance: &Instance) -> Result<(), Fault> {
    if instance.admin_state == AdminState::Offline {
        let text = format!("instance {} is marked offline", instance.name);
        return Err(Fault::new(FaultCode::WrongState, text));
    }
    Ok(())
}

/// A change of an instance that still is as it was read.
pub(super) fn change(instance: InstanceUuid, read: Serial, change: InstanceChange) -> Act {
    Act::change(ConfigDelta::InstanceChange { instance, expected: Some(read), change })
}

/// The step that starts a guest.
pub(super) fn start_step(spec: &GuestSpec, node: &Node, paused: bool) -> Step {
    let stop = InstanceStop {
        instance: spec.instance,
        hypervisor: spec.hvparams.kind(),
        timeout: Millis(0),
        epoch: Some(spec.epoch),
        disks: spec.disks.clone(),
    };
    let start = InstanceStart { spec: spec.clone(), paused };
    Step::new(format!("start instance {}", spec.name), Act::call(node.uuid, start))
        .undone_by(Act::call(node.uuid, stop))
}

/// The step that removes what is left of a guest that has ended by itself (row I5). Its hypervisor
/// still holds it, and would refuse to start another one beside it.
pub(super) fn clean_up_step(spec: &GuestSpec, node: &Node) -> Step {
    let stop = InstanceStop {
        instance: spec.instance,
        hypervisor: spec.hvparams.kind(),
        timeout: Millis(0),
        epoch: None,
        disks: spec.disks.clone(),
    };
    Step::new(format!("clean up after instance {}", spec.name), Act::call(node.uuid, stop))
}

/// The step that stops a guest.
pub(super) fn stop_step(instance: &Instance, timeout: Millis, may_fail: bool) -> Step {
    let stop = InstanceStop {
        instance: instance.uuid,
        hypervisor: instance.hypervisor(),
        timeout,
        epoch: None,
        disks: instance.disks.clone(),
    };
    Step::new(format!("stop instance {}", instance.name), Act::call(instance.primary, stop))
        .may_fail_if(may_fail)
}

/// The line that an image is being copied, in Ganeti's words.
pub(super) fn imaging(instance: &Instance, node: &Node, disk: &Disk) -> String {
    format!(
        " - INFO: Imaging disk '{}' for instance '{}' on node '{}'",
        disk.index, instance.name, node.name
    )
}

/// A fact of another kind than the question.
pub(super) fn unexpected(fact: &Fact) -> Fault {
    Fault::new(FaultCode::InternalError, format!("unexpected answer of a node: {fact:?}"))
}

/// Longest time a guest may be given to shut down: a day. Longer is a mistake in the unit, and the
/// job would hold its locks for that long.
pub(super) const SHUTDOWN_TIMEOUT_MAX: Millis = Millis(24 * 3600 * 1000);

/// Checks a shutdown time-out.
pub(super) fn check_timeout(timeout: Millis) -> Result<(), Fault> {
    if timeout > SHUTDOWN_TIMEOUT_MAX {
        let text = format!(
            "shutdown timeout of {} s exceeds the limit of {} s",
            timeout.0 / 1000,
            SHUTDOWN_TIMEOUT_MAX.0 / 1000
        );
        return Err(Fault::new(FaultCode::WrongInput, text));
    }
    Ok(())
}

/// An id that follows from the facts, so that a check asked twice answers the same.
pub(super) fn derived(facts: &Facts, what: &str, index: u32) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(facts.seed.to_be_bytes());
    hasher.update(facts.now.0.to_be_bytes());
    hasher.update(what.as_bytes());
    hasher.update(index.to_be_bytes());
    let hash = hasher.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
