//! Whether KVM truly works here, found out by letting a guest execute.
//!
//! That /dev/kvm can be opened says little: nested and emulated hosts offer one that never gets a
//! guest to its first output. So the tiny guest is booted under it, once per program and daemon.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_host::{
    Command, CommandError, CommandRunner, ProcessIdentity, find_by_arguments, may_execute,
};
use serde::{Deserialize, Serialize};

use crate::error::HvError;
use crate::guest::{TINY_GUEST_IMAGE, TINY_GUEST_UP};
use crate::kvm::run_dir::io_error;

/// How long the tiny guest may take under KVM. It needs 0.2 s where the processor executes it; a
/// /dev/kvm that interprets instruction by instruction needs 3 s and more (seen on nested hosts),
/// and is slower than TCG. Lower and a loaded host with a working KVM is taken for one without;
/// higher and an interpreted one is taken for real.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// How often we look whether the tiny guest has spoken.
const PROBE_POLL: Duration = Duration::from_millis(20);

/// How long `qemu --version` may take.
const VERSION_TIME_MAX: Duration = Duration::from_secs(20);

/// SeaBIOS refuses to boot from a smaller disk.
const PROBE_DISK_BYTES: u64 = 1024 * 1024;

/// Debian's package with the program.
pub(super) const QEMU_PACKAGE: &str = "qemu-system-x86";

/// How a guest executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// Emulated.
    Tcg,
}

impl Accelerator {
    /// QEMU's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Which accelerator guests get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceleratorChoice {
    /// KVM where a guest really executes under it, otherwise TCG, said aloud.
    #[default]
    Probe,
    /// This one, unprobed.
    Fixed(Accelerator),
}

/// What was found out about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probed {
    /// Its name and version.
    pub(super) version: String,
    /// What it gives guests.
    pub(super) accelerator: Accelerator,
    /// Why not KVM.
    pub(super) note: Option<String>,
}

/// Finds out. `scratch` is a directory to work in; it is made and removed.
pub(super) async fn probe(
    runner: &dyn CommandRunner,
    program: &Path,
    choice: AcceleratorChoice,
    scratch: &Path,
) -> Result<Probed, HvError> {
    let version = version(runner, program).await?;
    let fixed = |accelerator, note| Probed { version: version.clone(), accelerator, note };
    match choice {
        AcceleratorChoice::Fixed(Accelerator::Kvm) => Ok(fixed(Accelerator::Kvm, None)),
        AcceleratorChoice::Fixed(Accelerator::Tcg) => {
            let note = "emulated by tcg: kvm is switched off on this node".to_owned();
            Ok(fixed(Accelerator::Tcg, Some(note)))
        }
        AcceleratorChoice::Probe => Ok(match try_kvm(runner, program, scratch).await {
            Ok(()) => fixed(Accelerator::Kvm, None),
            Err(reason) => {
                tracing::info!(reason, "kvm is not usable, guests will be emulated");
                let note = format!("emulated by tcg: kvm is not usable here ({reason})");
                fixed(Accelerator::Tcg, Some(note))
            }
        }),
    }
}

/// The first line of `--version`, such as `QEMU emulator version 7.2.22 (Debian …)`.
async fn version(runner: &dyn CommandRunner, program: &Path) -> Result<String, HvError> {
    let missing = || HvError::ProgramMissing { program: program.to_owned(), package: QEMU_PACKAGE };
    let command = Command::new(program).arg("--version").timeout(VERSION_TIME_MAX);
    let output = match runner.run(command).await {
        Ok(output) => output,
        Err(CommandError::NotFound { .. }) => return Err(missing()),
        Err(source) => {
            let program = program.to_owned();
            return Err(HvError::ProgramBroken { program, source: Box::new(source) });
        }
    };
    Ok(output.text().lines().next().unwrap_or_default().trim().to_owned())
}

/// Lets a tiny guest execute under KVM. `scratch` is a directory to work in; it is made and
/// removed.
///
/// # Errors
/// With what was seen in place of a guest that executes.
pub async fn try_kvm(
    runner: &dyn CommandRunner,
    program: &Path,
    scratch: &Path,
) -> Result<(), String> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Err(format!("/dev/kvm: {error}"));
    }
    let result = boot_under_kvm(runner, program, scratch).await;
    if let Err(error) = std::fs::remove_dir_all(scratch) {
        tracing::warn!(scratch = %scratch.display(), %error, "could not clean up after a probe");
    }
    result
}

async fn boot_under_kvm(
    runner: &dyn CommandRunner,
    program: &Path,
    scratch: &Path,
) -> Result<(), String> {
    let (disk, serial, log) = (scratch.join("disk"), scratch.join("serial"), scratch.join("log"));
    make_disk(scratch, &disk).map_err(|error| error.to_string())?;
    let option = |path: &PathBuf| path.to_string_lossy().replace(',', ",,");
    let output = format!("file:{}", option(&serial));
    end_former_trial(&output);
    let command = Command::new(program)
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-accel", "kvm", "-m", "size=16M"])
        .arg("-drive")
        .arg(format!("file={},format=raw,if=virtio,cache=unsafe", option(&disk)))
        .arg("-serial")
        .arg(&output);
    let process = runner.spawn_daemon(command, &log).await.map_err(|error| error.to_string())?;
    let process = Trial(process);
    let says_up = async {
        loop {
            let said = std::fs::read(&serial).unwrap_or_default();
            if String::from_utf8_lossy(&said).contains(TINY_GUEST_UP) {
                return Ok(());
            }
            if !process.0.is_alive().map_err(|error| error.to_string())? {
                let said = std::fs::read(&log).unwrap_or_default();
                return Err(format!("qemu ended: {}", gantry_host::tail(&said)));
            }
            tokio::time::sleep(PROBE_POLL).await;
        }
    };
    tokio::time::timeout(PROBE_TIME_MAX, says_up)
        .await
        .unwrap_or_else(|_| Err(format!("a trial guest did not execute within {PROBE_TIME_MAX:?}")))
}

/// Ends the trial guest of a daemon that died during its trial: nobody else ever would.
fn end_former_trial(output: &str) {
    let ended = find_by_arguments(&["-serial", output])
        .and_then(|found| found.iter().try_for_each(|trial| trial.kill().map(drop)));
    if let Err(error) = ended {
        tracing::warn!(%error, "could not look for a former trial guest");
    }
}

/// A trial guest; ends with the trial, however that ends.
struct Trial(ProcessIdentity);

impl Drop for Trial {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill() {
            tracing::warn!(pid = self.0.pid, %error, "could not end a trial guest");
        }
    }
}

fn make_disk(scratch: &Path, disk: &Path) -> Result<(), HvError> {
    std::fs::create_dir_all(scratch).map_err(io_error("create", scratch))?;
    std::fs::write(disk, TINY_GUEST_IMAGE).map_err(io_error("write", disk))?;
    let file = OpenOptions::new().write(true).open(disk).map_err(io_error("open", disk))?;
    file.set_len(PROBE_DISK_BYTES).map_err(io_error("extend", disk))
}

/// Whether the program is there.
pub(super) fn check_program(program: &Path) -> Result<(), HvError> {
    if may_execute(program) {
        return Ok(());
    }
    Err(HvError::ProgramMissing { program: program.to_owned(), package: QEMU_PACKAGE })
}
