//! A guest under real QEMU with other parameters, and up.

use std::time::Duration;

use gantry_hv::DiskSource;
use gantry_hv::conformance::Bench;
use gantry_hv::guest::TINY_GUEST_UP;
use gantry_model::objects::GuestSpec;
use gantry_model::params::KvmParams;
use tokio::io::AsyncReadExt;

use crate::kvm_bench::KvmBench;

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The same guest with the defaults, changed.
pub(crate) fn with(spec: GuestSpec, change: impl FnOnce(&mut KvmParams)) -> GuestSpec {
    let mut params = KvmParams::default();
    change(&mut params);
    GuestSpec { hvparams: params.into(), ..spec }
}

/// Starts it and waits until it says that it is up.
pub(crate) async fn boot(bench: &KvmBench, spec: &GuestSpec, disks: &[DiskSource]) {
    let hv = bench.hypervisor();
    hv.start(spec, disks, false).await.expect("starts");
    let mut console = hv.console(spec.instance).await.expect("has a console");
    let mut said = String::new();
    let up = async {
        while !said.contains(TINY_GUEST_UP) {
            said.push(char::from(console.read_u8().await.expect("goes on")));
        }
    };
    tokio::time::timeout(PATIENCE, up).await.expect("boots");
}
