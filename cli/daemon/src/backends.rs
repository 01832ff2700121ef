//! The hypervisors and storages of a real node.

use std::sync::Arc;

use gantry_host::Pool;
use gantry_hv::HypervisorRegistry;
use gantry_hv::fake::FakeHypervisor;
use gantry_hv::kvm::{KvmConfig, KvmHypervisor};
use gantry_storage::fake::{FakeStorage, FakeStore};
use gantry_storage::{AllowedPaths, DisklessStorage, FileStorage, StorageRegistry};

use crate::error::DaemonError;
use crate::state_dir::{NodeFile, StateDir};

/// All hypervisors there are; which of them are used is a matter of the configuration.
pub(crate) fn hypervisors(
    state_dir: &StateDir,
    file: &NodeFile,
) -> Result<HypervisorRegistry, DaemonError> {
    let kvm = KvmHypervisor::new(KvmConfig::new(state_dir.path()));
    let world =
        gantry_hv::fake::FakeWorld::in_directory(&state_dir.fake().join("guests"), Arc::new(Pool))
            .map_err(DaemonError::part("open the world of the fake hypervisor"))?;
    let fake = FakeHypervisor::new(&world, file.name.as_str());
    Ok(HypervisorRegistry::new().with(Arc::new(kvm)).with(Arc::new(fake)))
}

/// All storages there are.
pub(crate) fn storage(
    state_dir: &StateDir,
    file: &NodeFile,
) -> Result<StorageRegistry, DaemonError> {
    let allowed = AllowedPaths::new(state_dir.storage_paths());
    let files = FileStorage::new(&file.file_storage_dir, Arc::new(Pool))
        .map_err(DaemonError::part("use the file storage directory"))?
        .allowed_by(allowed.clone());
    let store = FakeStore::in_directory(&state_dir.fake().join("disks"), Arc::new(Pool))
        .map_err(DaemonError::part("open the world of the fake storage"))?;
    let fake = FakeStorage::new(&store, file.name.as_str());
    let mut registry = StorageRegistry::new();
    if !file.shared_file_storage_dir.is_empty() {
        let shared = FileStorage::shared(&file.shared_file_storage_dir, Arc::new(Pool))
            .map_err(DaemonError::part("use the shared file storage directory"))?;
        registry = registry.with(Arc::new(shared.allowed_by(allowed)));
    }
    Ok(registry.with(Arc::new(files)).with(Arc::new(DisklessStorage)).with(Arc::new(fake)))
}
