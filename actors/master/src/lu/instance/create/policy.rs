//! Whether the instance policy allows an instance (P6, P7).

use gantry_engine::state::ClusterState;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::objects::{Cluster, Instance, Measured, Node};

/// As the cluster's policy says; groups have none of their own yet.
pub(super) fn check_policy(
    state: &ClusterState,
    cluster: &Cluster,
    node: &Node,
    instance: &Instance,
) -> Result<(), Fault> {
    let Some(policy) = &cluster.policy else { return Ok(()) };
    let found = policy.violations(&measured(cluster, instance));
    if found.is_empty() {
        return Ok(());
    }
    let group = state.groups.get(&node.group).map_or("", |group| group.name.as_str());
    let text = format!(
        "Instance allocation to group {} ({group}) violates policy: {}",
        node.group,
        found.join(", ")
    );
    Err(Fault::new(FaultCode::WrongInput, text))
}

fn measured(cluster: &Cluster, instance: &Instance) -> Measured {
    let beparams = instance.beparams.over(&cluster.beparams);
    Measured {
        memory_size: beparams.maxmem.into(),
        cpu_count: beparams.vcpus.into(),
        nic_count: instance.nics.len() as u64,
        spindle_use: beparams.spindle_use.into(),
        disk_sizes: instance.disks.iter().map(|disk| disk.size.0).collect(),
        template: instance.disk_template,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_model::objects::{DiskTemplate, InstancePolicy};
    use gantry_model::opcodes::InstanceCreate;

    use super::*;
    use crate::lu::rig::Rig;
    use crate::lu::samples::create;

    // covers: P2 P6 P7
    #[test]
    fn what_the_policy_does_not_allow_is_refused_unless_it_is_to_be_ignored() {
        let mut rig = Rig::new();
        let cluster = Arc::make_mut(rig.state.cluster.as_mut().expect("there is one"));
        cluster.policy = Some(InstancePolicy::new(vec![DiskTemplate::Diskless]));
        let group = *rig.state.groups.keys().next().expect("one");
        let text = format!(
            "Instance allocation to group {group} (default) violates policy: Disk template file is \
             not allowed (allowed templates: diskless), nic-count value 0 is not in range [1, 8], \
             disk-size/1 value 512 is not in range [1024, 1048576]"
        );
        assert_eq!(rig.refusal(create()), (FaultCode::WrongInput, text));
        let op = InstanceCreate { ignore_ipolicy: true, ..create() };
        assert_eq!(gantry_model::opcodes::OpCode::from(op.clone()).level(), 6);
        rig.run(op);
    }
}
