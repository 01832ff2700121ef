//! `gantry doctor`: what a node needs of its machine, looked at one by one.
//!
//! Each check is a function from the [`Patient`] to one [`Finding`]; none changes anything that
//! lasts. What is looked at is below a root directory and asked through a runner, so that a test
//! can have a machine of its own.

mod clock;
mod daemon;
mod devices;
mod disks;
mod limits;
mod programs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gantry_commands::machine::{Finding, Verdict};
use gantry_host::{CommandRunner, RealRunner};
use gantry_hv::kvm::try_kvm;

use self::limits::Limits;
use crate::state_dir::{NodeFile, StateDir};

/// Lets a guest execute under KVM; says what happened in place of that.
type KvmTrial = fn(&Patient) -> BoxFuture<'_, Result<(), String>>;

/// What is examined.
pub(crate) struct Patient {
    /// `/`, but for tests.
    root: PathBuf,
    runner: Arc<dyn CommandRunner>,
    state_dir: StateDir,
    /// Who the node is, if it is one.
    node: Option<NodeFile>,
    /// The wall clock, since 1970.
    clock: fn() -> Duration,
    kvm_trial: KvmTrial,
}

impl Patient {
    /// This machine.
    pub(crate) fn here(state_dir: StateDir, clock: fn() -> Duration) -> Self {
        // A damaged file is found by a check of its own.
        let node = state_dir.load_node().ok().flatten();
        let (root, runner) = ("/".into(), Arc::new(RealRunner));
        let kvm_trial: KvmTrial = |patient| {
            let scratch =
                std::env::temp_dir().join(format!("gantry-doctor-{}", std::process::id()));
            let (runner, program) = (patient.runner.clone(), Path::new(programs::QEMU));
            async move { try_kvm(&*runner, program, &scratch).await }.boxed()
        };
        Self { root, runner, state_dir, node, clock, kvm_trial }
    }

    /// A file of the machine by its absolute path.
    fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn is_there(&self, path: &str) -> bool {
        self.file(path).exists()
    }

    fn is_node(&self, name: &str) -> bool {
        self.node.as_ref().is_some_and(|node| node.name.as_str() == name)
    }
}

fn ok(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Ok, found: found.into(), advice: None }
}

fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    let advice = Some(advice.into());
    Finding { check, verdict: Verdict::Warning, found: found.into(), advice }
}

fn failed(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Failed, ..warning(check, found, advice) }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Makes every check, and says each as soon as it is made.
pub(crate) async fn examine(patient: &Patient, say: &mut (dyn FnMut(Finding) + Send)) {
    say(programs::qemu(patient).await);
    say(devices::kvm(patient).await);
    say(devices::tun(patient));
    say(devices::vhost_net(patient));
    say(devices::bridges(patient));
    say(devices::cgroup(patient));
    let daemon = daemon::Reached::of(patient).await;
    let limits = Limits::of(daemon.pid());
    say(limits.open_files());
    say(limits.locked_memory());
    say(disks::state_dir(patient));
    say(disks::space(patient));
    say(disks::speed(patient));
    say(disks::file_storage(patient));
    say(disks::allowed_paths(patient));
    say(daemon::identity(patient));
    say(daemon::certificates(patient));
    say(daemon.judged(patient));
    say(daemon::port(patient).await);
    say(clock::kept(patient).await);
    say(clock::of_master(patient, daemon.client()).await);
}

#[cfg(test)]
mod tests;
