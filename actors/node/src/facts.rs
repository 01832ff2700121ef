//! Answers to the questions that logical units ask before they decide. Looks only, changes nothing,
//! but for the socket of a delay, which goes by itself when no delay comes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery};
use gantry_model::ids::{DiskUuid, InstanceUuid};
use gantry_model::objects::{Disk, DiskLocation, DiskMode, DiskTemplate, GuestSpec};
use gantry_model::report::NodeInfo;
use gantry_model::units::{MiB, Timestamp};
use gantry_storage::Storage;
use uuid::Uuid;

use crate::calls::{disk_fault, guest_fault};
use crate::env::{NodeEnv, pool_fault};

const MIB: u64 = 1024 * 1024;

/// Answers one question. What cannot be found out is answered as *no*, with the reason: a unit must
/// not decide on a guess.
pub(crate) async fn answer(env: Arc<NodeEnv>, query: FactQuery, memory_guests: MiB) -> Fact {
    let answer = match &query {
        FactQuery::Node => node_info(&env, memory_guests, WHOLE_ANSWER).await.map(Fact::Node),
        FactQuery::Guest { instance, hypervisor } => match env.hypervisors.get(*hypervisor) {
            Ok(hypervisor) => hypervisor.query(*instance).await.map(Fact::Guest),
            Err(error) => Err(error),
        }
        .map_err(|error| guest_fault(&error, "look for the guest")),
        FactQuery::CanRun(spec) => can_run(&env, spec).await,
        FactQuery::FileStorage { directory, shared } => {
            file_storage(&env, directory, *shared).await
        }
        FactQuery::Image { path } => image(&env, path).await,
        FactQuery::DelaySocket => {
            env.delays.open(env.random_uuid()).map(|path| Fact::DelaySocket { path })
        }
        FactQuery::NewAuthority => Ok(no("only the leader makes authorities")),
    };
    answer.unwrap_or_else(|fault| Fact::No { reason: fault.one_line() })
}

fn no(reason: impl Into<String>) -> Fact {
    Fact::No { reason: reason.into() }
}

async fn can_run(env: &NodeEnv, spec: &GuestSpec) -> Result<Fact, Fault> {
    let kind = spec.hvparams.kind();
    let attempted = format!("check whether instance {} can run here", spec.name);
    let refused = |error| guest_fault(&error, &attempted);
    let hypervisor = env.hypervisors.get(kind).map_err(refused)?;
    let facts = hypervisor.node_facts().await;
    if !facts.usable {
        return Ok(no(format!("hypervisor {kind} is not usable: {}", facts.version)));
    }
    for disk in &spec.disks {
        let attempted = format!("look for disk {} of instance {}", disk.index, spec.name);
        let refused = |error| disk_fault(&error, &attempted);
        let storage = env.storage.get(disk.template()).map_err(refused)?;
        match storage.query(disk).await.map_err(refused)? {
            None => return Ok(no(format!("disk {} does not exist", disk.index))),
            Some(found) if found.size_bytes != disk.size.bytes() => {
                let (found, expected) = (found.size_bytes, disk.size.bytes());
                let text = format!("disk {} has {found} bytes, not {expected}", disk.index);
                return Ok(no(text));
            }
            Some(_) => {}
        }
    }
    let mut warnings = hypervisor.validate(spec).await.map_err(refused)?;
    for note in facts.notes {
        if !warnings.contains(&note) {
            warnings.push(note);
        }
    }
    Ok(Fact::CanRun { warnings })
}

async fn image(env: &NodeEnv, path: &str) -> Result<Fact, Fault> {
    if !Path::new(path).is_absolute() {
        return Ok(no(format!("image path {path:?} is not accepted: it must be absolute")));
    }
    let place = path.to_owned();
    let look = move || match std::fs::metadata(&place) {
        Ok(found) if found.is_file() => Fact::Image { size: MiB(found.len().div_ceil(MIB)) },
        Ok(_) => no(format!("image {place} is not a file")),
        Err(error) => no(format!("image {place} cannot be read: {error}")),
    };
    let attempted = format!("look at image {path}");
    env.quick("look at an image", look).await.map_err(|error| pool_fault(&error, &attempted))
}

/// Whether the storage of files would take a disk in this directory, and what room it has. Asked by
/// looking for a disk that is not there: which directories are allowed is the storage's business.
async fn file_storage(env: &NodeEnv, directory: &str, shared: bool) -> Result<Fact, Fault> {
    let attempted = format!("look at file storage {directory}");
    let refused = |error| disk_fault(&error, &attempted);
    let path = format!("{directory}/{}", Uuid::nil());
    let location = match shared {
        true => DiskLocation::SharedFile { path },
        false => DiskLocation::File { path },
    };
    let nobodys = Disk {
        uuid: DiskUuid(Uuid::nil()),
        instance: InstanceUuid(Uuid::nil()),
        index: 0,
        size: MiB(1),
        mode: DiskMode::Rw,
        name: None,
        location,
    };
    let storage = env.storage.get(nobodys.template()).map_err(refused)?;
    storage.query(&nobodys).await.map_err(refused)?;
    let info = storage.info().await.map_err(refused)?;
    Ok(Fact::FileStorage { free: info.free })
}

/// How long a hypervisor may take to say what it is while a node starts. Finding out whether KVM
/// truly works takes seconds, once per daemon; guests are adopted and calls are taken meanwhile.
/// Who asks for facts waits for as long as that takes.
pub(crate) const START_PATIENCE: Duration = Duration::from_millis(50);

/// Patience of those who need the whole answer and have a deadline of their own.
pub(crate) const WHOLE_ANSWER: Duration = Duration::from_secs(60);

/// The node's resources, measured now; `memory_guests` is what its guests have. A hypervisor that
/// does not say what it is within `patience` is left out.
pub(crate) async fn node_info(
    env: &NodeEnv,
    memory_guests: MiB,
    patience: Duration,
) -> Result<NodeInfo, Fault> {
    let attempted = "measure the node";
    let machine = Arc::clone(&env.machine);
    let measured = env.quick("measure the machine", move || machine.measure()).await;
    let measured = measured.map_err(|error| pool_fault(&error, attempted))?;
    let resources = measured
        .map_err(|error| Fault::from_error(FaultCode::EnvironmentError, attempted, &error))?;
    let (mut disk_total, mut disk_free) = (0, 0);
    // Records of the fake storage take no room; they count only where there is nothing else.
    let any_real = env.storage.iter().any(|storage| takes_room(storage.as_ref()));
    for storage in env.storage.iter().filter(|s| !any_real || takes_room(s.as_ref())) {
        let info = storage.info().await.map_err(|error| disk_fault(&error, attempted))?;
        disk_total += info.total.0;
        disk_free += info.free.0;
    }
    let mut hypervisors = Vec::new();
    for hypervisor in env.hypervisors.iter() {
        match tokio::time::timeout(patience, hypervisor.node_facts()).await {
            Ok(facts) => hypervisors.push((hypervisor.kind(), facts.version)),
            Err(_) => tracing::debug!(kind = %hypervisor.kind(), "still finding out what it is"),
        }
    }
    let memory_total = resources.memory_total_bytes / MIB;
    let memory_free = resources.memory_available_bytes / MIB;
    Ok(NodeInfo {
        memory_total: MiB(memory_total),
        memory_free: MiB(memory_free),
        memory_node: MiB(memory_total.saturating_sub(memory_free).saturating_sub(memory_guests.0)),
        disk_total: MiB(disk_total),
        disk_free: MiB(disk_free),
        cpus: resources.cpus,
        booted: Timestamp(resources.boot_time_seconds * 1_000_000),
        boot_id: Uuid::from_u128(resources.boot_id),
        cpu_sockets: resources.cpu_sockets,
        numa_nodes: resources.numa_nodes,
        hypervisors,
    })
}

/// Whether its room is the node's. That of a shared directory is every node's, so no node has it.
fn takes_room(storage: &dyn Storage) -> bool {
    let shared = storage.template() == DiskTemplate::SharedFile;
    storage.capabilities().holds_bytes && !shared
}
