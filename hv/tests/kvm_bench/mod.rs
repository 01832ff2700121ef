//! A directory in which guests run under real QEMU.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gantry_host::ProcessIdentity;
use gantry_hv::conformance::Bench;
use gantry_hv::guest::TINY_GUEST_IMAGE;
use gantry_hv::kvm::{Accelerator, AcceleratorChoice, KvmConfig, KvmHypervisor};
use gantry_hv::{DiskSource, Hypervisor};
use gantry_model::ids::{DiskUuid, InstanceUuid, RunEpoch};
use gantry_model::names::InstanceName;
use gantry_model::objects::{Disk, DiskLocation, DiskMode, GuestSpec};
use gantry_model::params::KvmParams;
use gantry_model::report::GuestReport;
use gantry_model::units::MiB;
use uuid::Uuid;

/// A state directory with its hypervisor; ends its guests when dropped.
pub(crate) struct KvmBench {
    dir: tempfile::TempDir,
    hypervisor: Option<Arc<dyn Hypervisor>>,
    n_guests: u32,
}

impl KvmBench {
    /// A new one, or `None` where QEMU is not installed.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so aloud")]
    pub(crate) fn new() -> Option<Self> {
        let program = KvmParams::default().kvm_path;
        if !Path::new(&program).exists() {
            eprintln!("SKIPPED: {program} is not installed (package qemu-system-x86)");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("gh").tempdir_in("/tmp").expect("tempdir");
        let mut bench = Self { dir, hypervisor: None, n_guests: 0 };
        bench.restart();
        Some(bench)
    }

    /// The state directory.
    pub(crate) fn base(&self) -> &Path {
        self.dir.path()
    }

    /// How its hypervisors are made.
    pub(crate) fn config(&self) -> KvmConfig {
        let accelerator = AcceleratorChoice::Fixed(Accelerator::Tcg);
        KvmConfig { accelerator, ..KvmConfig::new(self.base()) }
    }

    fn make_disk(&self, name: &str) -> PathBuf {
        let path = self.base().join(name);
        let file = std::fs::File::create(&path).expect("creates");
        file.set_len(MiB(1).bytes()).expect("extends");
        file.write_all_at(TINY_GUEST_IMAGE, 0).expect("writes");
        path
    }
}

impl Bench for KvmBench {
    fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        Arc::clone(self.hypervisor.as_ref().expect("not crashed"))
    }

    fn guest(&mut self) -> (GuestSpec, Vec<DiskSource>) {
        self.n_guests += 1;
        let n = u128::from(self.n_guests);
        let instance = InstanceUuid(Uuid::from_u128(0x6a00_0000 + n));
        let path = self.make_disk(&format!("disk{n}"));
        let disk = Disk {
            uuid: DiskUuid(Uuid::from_u128(0xd150_0000 + n)),
            instance,
            index: 0,
            size: MiB(1),
            mode: DiskMode::Rw,
            name: None,
            location: DiskLocation::File { path: path.to_string_lossy().into_owned() },
        };
        let spec = GuestSpec {
            instance,
            name: InstanceName::new(&format!("guest{n}.example")).expect("a name"),
            hvparams: KvmParams::default().into(),
            memory: MiB(16),
            vcpus: 1,
            disks: vec![disk],
            nics: Vec::new(),
            epoch: RunEpoch(5),
            network_port: None,
            tags: Vec::new(),
            uid_pool: Vec::new(),
        };
        (spec, vec![DiskSource::Path(path)])
    }

    fn crash(&mut self) {
        let hypervisor = self.hypervisor.take().expect("not crashed twice");
        assert_eq!(Arc::strong_count(&hypervisor), 1, "somebody still uses it");
    }

    fn restart(&mut self) {
        self.hypervisor = Some(Arc::new(KvmHypervisor::new(self.config())));
    }

    fn kill_behind(&mut self, report: &GuestReport) -> BoxFuture<'_, ()> {
        let pid = report.pid.expect("a guest of qemu is a process");
        Box::pin(async move {
            let process = ProcessIdentity::of(pid).expect("proc").expect("alive");
            process.kill().expect("killed");
            let patience = std::time::Duration::from_secs(10);
            assert!(process.wait_gone(patience).await.expect("proc"));
        })
    }
}

impl Drop for KvmBench {
    fn drop(&mut self) {
        // A test that failed in the middle must not leave its guests running.
        let kvm = self.base().join("run/kvm");
        for entry in std::fs::read_dir(kvm).into_iter().flatten().flatten() {
            let pid_file = entry.path().join("pid");
            let wanted = ["-pidfile", &pid_file.to_string_lossy()];
            for process in gantry_host::find_by_arguments(&wanted).expect("proc") {
                process.kill().expect("ours");
            }
        }
    }
}
