//! OP_INSTANCE_CREATE (rows O31, C60, I1).

mod nics;
mod policy;
mod wipe;

use gantry_engine::jobs::LockStage;
use gantry_engine::state::{ClusterState, not_known};
use gantry_model::deltas::{ConfigDelta, InstanceChange};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::{DiskUuid, InstanceUuid, NodeUuid, RunEpoch, Serial};
use gantry_model::locks::{LockMode, LockName};
use gantry_model::names::{DEVICE_NAME, is_device_name};
use gantry_model::node_calls::{DiskCreate, DiskRemove, DiskWriteImage};
use gantry_model::objects::{
    AdminState, Cluster, Disk, DiskLocation, DiskTemplate, GuestSpec, Instance, Node,
};
use gantry_model::opcodes::InstanceCreate;
use gantry_model::params::{
    BackendOverrides, CLUSTER_ONLY, HvOverrides, HypervisorKind, is_plain_path,
};
use gantry_model::steps::{Act, Step};
use gantry_model::tags::{check_tags, sorted_tags};
use gantry_model::units::MiB;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::nics::{check_arguments, network_port, new_nics};
use self::policy::check_policy;
use self::wipe::wipe_disks;
use super::osparams::{OS_IMAGE, OsParams};
use crate::lu::guest;
use crate::lu::{LogicalUnit, need, one_stage};

/// Most disks of one instance (row H146).
const DISKS_MAX: usize = 16;

/// Largest disk: 64 TiB, the most that QEMU and the file systems we know take in one image. A
/// higher number is a mistake in the unit.
const DISK_SIZE_MAX: MiB = MiB(64 * 1024 * 1024);

/// Most memory and processors of a guest: what QEMU's largest machine type takes.
const MEMORY_MAX: u32 = 16 * 1024 * 1024;
/// Most virtual CPUs.
const VCPUS_MAX: u32 = 1_024;

/// What was decided.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// The instance to be.
    instance: Instance,
    /// Where.
    node: Node,
    /// The guest of its first run.
    spec: GuestSpec,
    /// Image for disk 0.
    image: Option<String>,
    /// Whether it may be started: one on which nothing is installed is not, whatever was asked for.
    /// Plans of an older program do not have it; that one did as it was asked.
    #[serde(default = "as_asked")]
    may_start: bool,
    /// Whether its disks are wiped.
    #[serde(default)]
    wipes: bool,
}

fn as_asked() -> bool {
    true
}

impl LogicalUnit for InstanceCreate {
    type Plan = Plan;

    fn arguments(&self) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
        match (self.disk_template, self.disks.len()) {
            (DiskTemplate::Diskless, 0) => {}
            (DiskTemplate::Diskless, _) => {
                return refuse("a diskless instance takes no disks".into());
            }
            (template, 0) => return refuse(format!("template {template} needs a disk")),
            (_, n) if n > DISKS_MAX => return refuse(format!("{n} disks, at most {DISKS_MAX}")),
            _ => {}
        }
        for (idx, disk) in self.disks.iter().enumerate() {
            if disk.size.0 == 0 || disk.size > DISK_SIZE_MAX {
                let text = format!("disk {idx}: size {} is not 1 to {DISK_SIZE_MAX}", disk.size);
                return refuse(text);
            }
            if disk.name.as_ref().is_some_and(|name| !is_device_name(name)) {
                return refuse(format!("disk {idx}: its name is not {DEVICE_NAME}"));
            }
        }
        let BackendOverrides { minmem, maxmem, .. } = self.beparams;
        for memory in [maxmem, minmem].into_iter().flatten() {
            if memory == 0 || memory > MEMORY_MAX {
                return refuse(format!("memory of {memory} MiB is not 1 to {MEMORY_MAX} MiB"));
            }
        }
        if let Some(vcpus) = self.beparams.vcpus.filter(|n| *n == 0 || *n > VCPUS_MAX) {
            return refuse(format!("{vcpus} virtual CPUs are not 1 to {VCPUS_MAX}"));
        }
        check_tags(&self.tags)
            .map_err(|error| Fault::new(FaultCode::InvalidTag, error.to_string()))?;
        self.hvparams.as_ref().map_or(Ok(()), check_hvparams)?;
        check_arguments(&self.nics)?;
        check_directory(self)?;
        check_os(self)
    }

    fn locks(&self, _stage: u32, state: &ClusterState) -> Result<LockStage, Fault> {
        let node = find_node(self, state)?;
        Ok(one_stage([
            (LockName::instance(&self.instance_name), LockMode::Exclusive),
            (LockName::node(node.uuid), LockMode::Exclusive),
            (LockName::node_res(node.uuid), LockMode::Exclusive),
        ]))
    }

    fn facts(&self, state: &ClusterState) -> Result<Vec<(NodeUuid, FactQuery)>, Fault> {
        let node = find_node(self, state)?;
        // One that may not be used is not asked either: it might not answer.
        check_node(node)?;
        let node = node.uuid;
        let cluster = guest::cluster(state)?;
        let mut queries = vec![(node, FactQuery::Node)];
        queries.extend(room_query(self, cluster).map(|query| (node, query)));
        if let Some(path) = self.osparams.get(OS_IMAGE) {
            queries.push((node, FactQuery::Image { path: path.clone() }));
        }
        Ok(queries)
    }

    fn check(&self, state: &ClusterState, facts: &Facts) -> Result<Plan, Fault> {
        let cluster = guest::cluster(state)?;
        if state.instance_by_name(&self.instance_name).is_some() {
            let text = format!("Instance '{}' is already in the cluster", self.instance_name);
            return Err(Fault::new(FaultCode::AlreadyExists, text));
        }
        let node = find_node(self, state)?;
        check_node(node)?;
        let hvparams = choose_hypervisor(self, cluster)?;
        check_template(self, cluster)?;
        let nics = new_nics(self, cluster, state, facts)?;
        check_disk_space(self, cluster, node, facts)?;
        let image = check_image(self, node, facts)?;
        let network_port = network_port(state, &hvparams.over(&cluster.hvparams), facts)?;
        let instance =
            Instance { nics, network_port, ..new_instance(self, cluster, node, hvparams, facts) };
        let spec = guest::spec(cluster, &instance, RunEpoch(1));
        guest::check_parameters(cluster, &instance)?;
        if !self.ignore_ipolicy {
            check_policy(state, cluster, node, &instance)?;
        }
        let may_start = !self.no_install;
        check_resources(node, &spec, self.start && may_start, facts)?;
        let wipes = cluster.settings.prealloc_wipe_disks;
        Ok(Plan { instance, node: node.as_ref().clone(), spec, image, may_start, wipes })
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let mut steps: Vec<Step> =
            plan.instance.disks.iter().map(|disk| create_disk(&plan.node, disk)).collect();
        let mut adds = add_to_config(&plan.instance);
        match steps.first_mut() {
            Some(first) => first.says = Some(beginning(self, plan)),
            None => adds.says = adds.says.map(|says| format!("{}\n{says}", beginning(self, plan))),
        }
        if plan.wipes {
            steps.extend(wipe_disks(&plan.instance, &plan.node));
        }
        if let (Some(image), Some(disk)) = (&plan.image, plan.instance.disks.first()) {
            steps.push(write_image(&plan.instance, &plan.node, disk, image));
        }
        steps.push(adds);
        if self.start && plan.may_start {
            steps.push(begin_first_run(plan));
            let start = guest::start_step(&plan.spec, &plan.node, false);
            steps.push(start.says("* starting instance..."));
        }
        steps
    }

    fn result(&self, plan: &Plan) -> Value {
        Value::Array(vec![Value::String(plan.node.name.to_string())])
    }
}

/// Each value by itself; how they go together depends on the cluster's defaults.
fn check_hvparams(hvparams: &HvOverrides) -> Result<(), Fault> {
    hvparams.check_values().map_err(|error| guest::refused(&error))?;
    match hvparams.values().iter().find(|(name, _)| CLUSTER_ONLY.contains(name)) {
        Some((name, _)) => {
            let text = format!("parameter {name} can only be set for the whole cluster");
            Err(Fault::new(FaultCode::WrongInput, text))
        }
        None => Ok(()),
    }
}

fn check_os(op: &InstanceCreate) -> Result<(), Fault> {
    let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
    let image = op.osparams.get(OS_IMAGE);
    if op.os.is_empty() && image.is_none() {
        return refuse("No guest OS or OS image specified".into());
    }
    let params = OsParams::new(&op.osparams, &op.osparams_private, &op.osparams_secret);
    params.check().and_then(|()| params.check_owner(&op.os))?;
    if let Some(path) = image.filter(|path| !path.starts_with('/')) {
        return refuse(format!("{OS_IMAGE} {path:?} is not an absolute path"));
    }
    if image.is_some() && op.no_install {
        return refuse(format!("{OS_IMAGE} and no-install exclude each other"));
    }
    if image.is_some() && op.disks.is_empty() {
        return refuse(format!("{OS_IMAGE} needs a disk to copy it to"));
    }
    // Scripts of OS definitions are not run yet; to accept a name and install nothing would be
    // a lie, except on disks of the fake storage, which have no content: whatever they are said to
    // hold is on them.
    let holds_something = !op.disks.is_empty() && op.disk_template != DiskTemplate::Fake;
    if image.is_none() && !op.no_install && holds_something {
        let text = format!(
            "OS '{}' has no scripts here that could be run: give -O {OS_IMAGE}=PATH, or \
             --no-install",
            op.os
        );
        return refuse(text);
    }
    Ok(())
}

fn find_node<'a>(
    op: &InstanceCreate,
    state: &'a ClusterState,
) -> Result<&'a std::sync::Arc<Node>, Fault> {
    let Some(name) = &op.primary_node else {
        let text = "no node given: name the primary node with -n";
        return Err(Fault::new(FaultCode::WrongInput, text));
    };
    state.node_by_name(name).ok_or_else(|| not_known("Node", name.as_str()))
}

fn check_node(node: &Node) -> Result<(), Fault> {
    let unfit = if node.offline {
        "offline"
    } else if node.drained {
        "drained"
    } else if !node.vm_capable {
        "non-vm_capable"
    } else {
        return Ok(());
    };
    let text = format!("Cannot use {unfit} primary node '{}'", node.name);
    Err(Fault::new(FaultCode::WrongState, text))
}

fn choose_hypervisor(op: &InstanceCreate, cluster: &Cluster) -> Result<HvOverrides, Fault> {
    let default = cluster.enabled_hypervisors.first().copied();
    let hvparams = match (&op.hvparams, default) {
        (Some(hvparams), _) => hvparams.clone(),
        (None, Some(kind)) => HvOverrides::none(kind),
        (None, None) => {
            let text = "no hypervisor is enabled";
            return Err(Fault::new(FaultCode::WrongState, text));
        }
    };
    let kind = hvparams.kind();
    if cluster.enabled_hypervisors.contains(&kind) {
        return Ok(hvparams);
    }
    let enabled: Vec<&str> =
        cluster.enabled_hypervisors.iter().copied().map(HypervisorKind::as_str).collect();
    let enabled = enabled.join(",");
    let text = format!("Selected hypervisor ({kind}) not enabled in the cluster ({enabled})");
    Err(Fault::new(FaultCode::WrongState, text))
}

fn check_template(op: &InstanceCreate, cluster: &Cluster) -> Result<(), Fault> {
    if cluster.enabled_disk_templates.contains(&op.disk_template) {
        return Ok(());
    }
    let enabled: Vec<&str> =
        cluster.enabled_disk_templates.iter().copied().map(DiskTemplate::as_str).collect();
    let text = format!(
        "Disk template '{}' is not enabled in cluster. Enabled disk templates are: {}",
        op.disk_template,
        enabled.join(",")
    );
    Err(Fault::new(FaultCode::WrongState, text))
}

fn check_disk_space(
    op: &InstanceCreate,
    cluster: &Cluster,
    node: &Node,
    facts: &Facts,
) -> Result<(), Fault> {
    let Some(query) = room_query(op, cluster) else { return Ok(()) };
    let directory = storage_directory(op, cluster).unwrap_or_default();
    if directory.is_empty() {
        let text = format!("the cluster has no directory for template {}", op.disk_template);
        return Err(Fault::new(FaultCode::WrongState, text));
    }
    let needed = MiB(op.disks.iter().map(|disk| disk.size.0).sum());
    match need(facts, node.uuid, &query, node.name.as_str())? {
        Fact::FileStorage { free } if *free < needed => {
            let text = format!(
                "not enough space in {directory} on node {}: needed {needed}, free {free}",
                node.name
            );
            Err(Fault::new(FaultCode::InsufficientResources, text))
        }
        Fact::FileStorage { .. } => Ok(()),
        other => Err(guest::unexpected(other)),
    }
}

/// What the node is asked of the room for the disks, if they take any.
fn room_query(op: &InstanceCreate, cluster: &Cluster) -> Option<FactQuery> {
    let directory = storage_directory(op, cluster)?;
    Some(FactQuery::FileStorage { directory, shared: op.disk_template == DiskTemplate::SharedFile })
}

/// The cluster's directory for such disks; nothing for those that are no files.
fn storage_directory(op: &InstanceCreate, cluster: &Cluster) -> Option<String> {
    match op.disk_template {
        DiskTemplate::File => Some(cluster.file_storage_dir.clone()),
        DiskTemplate::SharedFile => Some(cluster.shared_file_storage_dir.clone()),
        DiskTemplate::Fake | DiskTemplate::Diskless => None,
    }
}

/// A directory below the cluster's, as Ganeti has it: no way out of it.
fn check_directory(op: &InstanceCreate) -> Result<(), Fault> {
    let Some(directory) = &op.file_storage_dir else { return Ok(()) };
    let refuse = |text: String| Err(Fault::new(FaultCode::WrongInput, text));
    if !op.disk_template.is_files() {
        return refuse(format!("template {} has no file storage directory", op.disk_template));
    }
    if !is_plain_path(&format!("/{directory}")) || directory.chars().any(char::is_control) {
        let text = format!(
            "file storage directory {directory:?} is not a path below the cluster's, without . \
             and .."
        );
        return refuse(text);
    }
    Ok(())
}

fn check_image(op: &InstanceCreate, node: &Node, facts: &Facts) -> Result<Option<String>, Fault> {
    let Some(path) = op.osparams.get(OS_IMAGE) else { return Ok(None) };
    let query = FactQuery::Image { path: path.clone() };
    let disk_size = op.disks.first().map(|disk| disk.size).unwrap_or_default();
    match need(facts, node.uuid, &query, node.name.as_str())? {
        Fact::Image { size } if *size > disk_size => {
            let text = format!("image {path} has {size}, more than disk 0 with {disk_size}");
            Err(Fault::new(FaultCode::WrongInput, text))
        }
        Fact::Image { .. } => Ok(Some(path.clone())),
        other => Err(guest::unexpected(other)),
    }
}

fn new_instance(
    op: &InstanceCreate,
    cluster: &Cluster,
    node: &Node,
    hvparams: HvOverrides,
    facts: &Facts,
) -> Instance {
    let uuid = InstanceUuid(guest::derived(facts, "instance", 0));
    let disks = (0..)
        .zip(&op.disks)
        .map(|(index, request)| {
            let disk = DiskUuid(guest::derived(facts, "disk", index));
            Disk {
                uuid: disk,
                instance: uuid,
                index,
                size: request.size,
                mode: request.mode,
                name: request.name.clone(),
                location: location(op, cluster, disk, index),
            }
        })
        .collect();
    Instance {
        uuid,
        name: op.instance_name.clone(),
        primary: node.uuid,
        hvparams,
        beparams: op.beparams.clone(),
        os: op.os.clone(),
        osparams: op.osparams.clone(),
        osparams_private: op.osparams_private.clone(),
        disk_template: op.disk_template,
        disks,
        nics: Vec::new(),
        admin_state: AdminState::Down,
        run_epoch: RunEpoch(0),
        ctime: facts.now,
        mtime: facts.now,
        serial: Serial(1),
        tags: sorted_tags(&op.tags),
        network_port: None,
    }
}

fn location(op: &InstanceCreate, cluster: &Cluster, disk: DiskUuid, index: u32) -> DiskLocation {
    let directory = storage_directory(op, cluster).unwrap_or_default();
    let below = op.file_storage_dir.as_deref().map_or(String::new(), |dir| format!("{dir}/"));
    let path = format!("{directory}/{below}{}/{disk}.file.disk{index}", op.instance_name);
    match op.disk_template {
        DiskTemplate::File => DiskLocation::File { path },
        DiskTemplate::SharedFile => DiskLocation::SharedFile { path },
        DiskTemplate::Fake | DiskTemplate::Diskless => DiskLocation::Fake,
    }
}

/// The node must know the hypervisor, even if the guest is not to be started now; memory it needs
/// only for one that is.
fn check_resources(node: &Node, spec: &GuestSpec, start: bool, facts: &Facts) -> Result<(), Fault> {
    match need(facts, node.uuid, &FactQuery::Node, node.name.as_str())? {
        Fact::Node(info) => {
            let kind = spec.hvparams.kind();
            if !info.hypervisors.iter().any(|(known, _)| *known == kind) {
                let text = format!("node {} has no usable hypervisor {kind}", node.name);
                return Err(Fault::new(FaultCode::EnvironmentError, text));
            }
            if start && info.memory_free < spec.memory {
                let text = format!(
                    "not enough memory on node {} for instance {}: needed {}, free {}",
                    node.name, spec.name, spec.memory, info.memory_free
                );
                return Err(Fault::new(FaultCode::InsufficientResources, text));
            }
            Ok(())
        }
        other => Err(guest::unexpected(other)),
    }
}

fn create_disk(node: &Node, disk: &Disk) -> Step {
    let create = Act::call(node.uuid, DiskCreate { disk: disk.clone() });
    Step::new(format!("create disk {}", disk.index), create)
        .undone_by(Act::call(node.uuid, DiskRemove { disk: disk.clone() }))
}

/// What Ganeti says before it makes the first disk, also where there is none to make (row C215).
fn beginning(op: &InstanceCreate, plan: &Plan) -> String {
    let disks = plan.instance.disks.iter();
    let sizes = disks.map(|disk| format!("* disk {}, size {}M", disk.index, disk.size.0));
    let stays_down = (op.start && !plan.may_start).then(|| NOT_STARTED.to_owned());
    let lines = stays_down.into_iter().chain(sizes).chain(["* creating instance disks...".into()]);
    lines.collect::<Vec<String>>().join("\n")
}

/// In Ganeti's words, with the prefix that its lines of this kind have.
const NOT_STARTED: &str = " - INFO: No-installation mode selected, disabling startup";

/// The instance, and with `node_res` what its node lends it. Row L41: with the disks there the node
/// itself is free for others; row L42: with the image on them so are its resources.
fn kept_locks(instance: &Instance, node_res: bool) -> Vec<(LockName, LockMode)> {
    let mut kept = vec![
        (LockName::bgl(), LockMode::Shared),
        (LockName::instance(&instance.name), LockMode::Exclusive),
    ];
    if node_res {
        kept.push((LockName::node_res(instance.primary), LockMode::Exclusive));
    }
    kept
}

fn write_image(instance: &Instance, node: &Node, disk: &Disk, image: &str) -> Step {
    let call = DiskWriteImage { disk: disk.clone(), image: image.to_owned() };
    Step::new(format!("copy an image onto disk {}", disk.index), Act::call(node.uuid, call))
        .keeps(kept_locks(instance, true))
        .says(format!("* imaging instance disks...\n{}", guest::imaging(instance, node, disk)))
}

/// From here on the instance is there, whatever becomes of its first start (row I1).
fn add_to_config(instance: &Instance) -> Step {
    let add = Act::change(ConfigDelta::InstanceAdd(Box::new(instance.clone())));
    Step::new(format!("add instance {}", instance.name), add)
        .keeps(kept_locks(instance, false))
        .settles()
        .says(format!(
            "adding instance {} to cluster config\nadding disks to cluster config",
            instance.name
        ))
}

fn begin_first_run(plan: &Plan) -> Step {
    let start = InstanceChange::Start { epoch: plan.spec.epoch, remember: true };
    let act = guest::change(plan.instance.uuid, plan.instance.serial, start);
    Step::new("begin the first run of the instance", act)
}

#[cfg(test)]
mod tests;
