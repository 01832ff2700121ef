//! Making instance and disk actors when they are needed.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::ids::InstanceUuid;
use gantry_model::node_calls::{CallTarget, node_path};
use gantry_runtime::{Escalation, LocalRef, SpawnError, SpawnOptions, Supervision, System};
use gantry_wire::{ActorPath, NotDelivered};

use super::disk::DiskActor;
use super::instance::InstanceActor;
use crate::env::NodeEnv;

/// First segment of the paths of instances and disks.
pub(crate) const INSTANCE_KIND: &str = "instance";

/// How long an actor without work and without a running guest stays. Lower makes it anew between
/// the calls of one job; higher keeps some two kilobytes for each stopped instance and disk.
const PASSIVATE_AFTER: Duration = Duration::from_secs(60);

/// The activator of everything under `/instance`.
pub(crate) fn activator(
    env: Arc<NodeEnv>,
) -> impl Fn(&System, &ActorPath) -> Result<(), NotDelivered> + Send + Sync + 'static {
    move |system, path| match target_of(path) {
        Some(CallTarget::Instance(instance)) => activate(system, &env, instance).map(drop),
        Some(CallTarget::Disk(instance, disk_idx)) => {
            let disk_env = Arc::clone(&env);
            let make = move || DiskActor::new(Arc::clone(&disk_env), instance, disk_idx);
            match system.spawn(path.clone(), options(&env), make) {
                Ok(_) | Err(SpawnError::AlreadyLive(_)) => Ok(()),
                Err(error) => Err(NotDelivered::Stopped(error.to_string())),
            }
        }
        Some(CallTarget::Node) | None => Err(NotDelivered::NoSuchActor(path.to_string())),
    }
}

/// The actor of a guest, made if it does not live.
pub(crate) fn activate(
    system: &System,
    env: &Arc<NodeEnv>,
    instance: InstanceUuid,
) -> Result<LocalRef<InstanceActor>, NotDelivered> {
    let actor_env = Arc::clone(env);
    let make = move || InstanceActor::new(Arc::clone(&actor_env), instance);
    let path = CallTarget::Instance(instance).path(env.node);
    match system.spawn(path, options(env), make) {
        Ok(actor) => {
            env.instance_lives(instance, actor.clone());
            Ok(actor)
        }
        Err(error @ SpawnError::AlreadyLive(_)) => {
            // Just being made by another thread, or just ending.
            env.instance(instance).ok_or_else(|| NotDelivered::Stopped(error.to_string()))
        }
        Err(error) => Err(NotDelivered::Stopped(error.to_string())),
    }
}

/// Children of the node's actor, so that they end with it; but one that cannot live must not take
/// the others down.
fn options(env: &NodeEnv) -> SpawnOptions {
    SpawnOptions {
        parent: Some(node_path(env.node)),
        passivate_after: Some(PASSIVATE_AFTER),
        supervision: Supervision { escalation: Escalation::Report, ..Supervision::default() },
        ..SpawnOptions::default()
    }
}

fn target_of(path: &ActorPath) -> Option<CallTarget> {
    let segments: Vec<_> = path.segments().collect();
    let target = match segments[..] {
        [INSTANCE_KIND, instance] => CallTarget::Instance(instance.parse().ok()?),
        [INSTANCE_KIND, instance, "disk", disk_idx] => {
            CallTarget::Disk(instance.parse().ok()?, disk_idx.parse().ok()?)
        }
        _ => return None,
    };
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_they_are_for() {
        let instance = InstanceUuid(uuid::Uuid::from_u128(7));
        let node = gantry_model::ids::NodeUuid(uuid::Uuid::from_u128(1));
        for target in [CallTarget::Instance(instance), CallTarget::Disk(instance, 3)] {
            assert_eq!(target_of(&target.path(node)), Some(target));
        }
    }

    #[test]
    fn other_paths_are_nobodys() {
        let uuid = uuid::Uuid::from_u128(7);
        for path in [
            "/instance".to_owned(),
            "/instance/web1".to_owned(),
            format!("/instance/{uuid}/nic/0"),
            format!("/instance/{uuid}/disk"),
            format!("/instance/{uuid}/disk/first"),
            format!("/instance/{uuid}/disk/0/x"),
        ] {
            let path = ActorPath::new(&path).expect("valid");
            assert_eq!(target_of(&path), None, "{path}");
        }
    }
}
