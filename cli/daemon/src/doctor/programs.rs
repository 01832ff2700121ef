//! Programs: the emulator.

use std::time::Duration;

use gantry_commands::machine::Finding;
use gantry_host::{Command, CommandError};
use gantry_wire::ErrorChain;

use super::{Patient, failed, ok, warning};

/// Where Debian has it, and the default of `kvm_path`.
pub(super) const QEMU: &str = "/usr/bin/qemu-system-x86_64";

/// The oldest version that our command lines are for.
const QEMU_MAJOR_MIN: u32 = 5;

/// How long a program may take to say its version. It reads a few libraries; longer is a disk that
/// hangs.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Whether the emulator is there, and new enough.
pub(super) async fn qemu(patient: &Patient) -> Finding {
    const CHECK: &str = "qemu";
    let install = "install the Debian package qemu-system-x86, or use the fake hypervisor only";
    let command = Command::new(QEMU).args(["--version"]).timeout(ANSWER_TIME_MAX);
    let text = match patient.runner.run(command).await {
        Ok(output) => output.text(),
        Err(CommandError::NotFound { .. }) => {
            return failed(CHECK, format!("{QEMU} is missing"), install);
        }
        Err(error) => return failed(CHECK, ErrorChain(&error).to_string(), install),
    };
    let first = text.lines().next().unwrap_or_default().to_owned();
    let version = first.split_whitespace().find(|word| word.starts_with(|c: char| c.is_numeric()));
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(major) if major >= QEMU_MAJOR_MIN => ok(CHECK, first),
        Some(_) => failed(CHECK, first, format!("version {QEMU_MAJOR_MIN} is needed at least")),
        None => warning(CHECK, format!("{QEMU} says {first:?}"), "its version is not known"),
    }
}
