//! Where the processes of a guest belong: to a scope of systemd, apart from the daemon's cgroup,
//! where systemd runs; to a session of their own everywhere.
//!
//! In a scope a guest has its own accounts and limits, is not counted to the daemon's, and is ended
//! by whoever stops the scope, never by whoever stops the daemon. Without systemd, QEMU's own
//! `-daemonize` makes the session.

use std::path::{Path, PathBuf};

use gantry_host::Command;
use gantry_model::objects::GuestSpec;

/// There where systemd is the first process.
const SYSTEMD_RUNS: &str = "/run/systemd/system";

/// What makes scopes.
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// An emulator that gets no thread for its disks ends, and its guest with it; the usual limit of a
/// unit is a share of what the kernel has, and small on a small machine.
const TASKS: &str = "TasksMax=infinity";

/// All guests are below it, so that they can be limited together.
const SLICE: &str = "gantry.slice";

/// Where guests are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestScopes {
    /// In the cgroup of the daemon.
    Daemons,
    /// In scopes that this program makes.
    Systemd {
        /// `systemd-run`.
        program: PathBuf,
    },
}

impl GuestScopes {
    /// What this machine has. Scopes are made by root only: for another user systemd would ask
    /// somebody for a password.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let is_root = gantry_host::accounts::own_uid() == 0;
        let program = Path::new(SYSTEMD_RUN);
        match is_root && Path::new(SYSTEMD_RUNS).is_dir() && program.exists() {
            true => Self::Systemd { program: program.to_owned() },
            false => Self::Daemons,
        }
    }

    /// The command that does the same in the scope of this start of a guest.
    pub(super) fn wrap(&self, command: Command, spec: &GuestSpec) -> Command {
        let Self::Systemd { program } = self else { return command };
        // The epoch, because what is left of an earlier start may still hold its name.
        let unit = format!("gantry-guest-{}-{}.scope", spec.instance, spec.epoch);
        // Otherwise it is the whole command line, in every line that systemd writes of the scope.
        let description = format!("Gantry guest {}", spec.name);
        let mut wrapped = Command::new(program)
            .args(["--scope", "--quiet", "--collect", "--slice", SLICE])
            .args(["--unit", &unit, "--description", &description])
            .args(["--property", TASKS, "--"])
            .arg(command.program())
            .args(command.arguments().iter().cloned())
            .cwd(command.directory())
            .timeout(command.deadline());
        for (name, value) in command.environment() {
            wrapped = wrapped.env(name, value);
        }
        wrapped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gantry_model::ids::{InstanceUuid, RunEpoch};
    use gantry_model::names::InstanceName;
    use gantry_model::params::KvmParams;
    use gantry_model::units::MiB;
    use uuid::Uuid;

    use super::*;

    fn qemu() -> Command {
        Command::new("/usr/bin/qemu").args(["-name", "web1"]).timeout(Duration::from_secs(7))
    }

    fn wrapped(scopes: &GuestScopes) -> Command {
        let spec = GuestSpec {
            instance: InstanceUuid(Uuid::from_u128(0xa1)),
            name: InstanceName::new("web1.example").expect("a name"),
            hvparams: KvmParams::default().into(),
            memory: MiB(128),
            vcpus: 1,
            disks: Vec::new(),
            nics: Vec::new(),
            epoch: RunEpoch(3),
            network_port: None,
            tags: Vec::new(),
            uid_pool: Vec::new(),
        };
        scopes.wrap(qemu(), &spec)
    }

    #[test]
    fn a_guest_has_a_scope_of_its_own_under_systemd() {
        let command = wrapped(&GuestScopes::Systemd { program: SYSTEMD_RUN.into() });
        assert_eq!(
            command.line(),
            "/usr/bin/systemd-run --scope --quiet --collect --slice gantry.slice --unit \
             gantry-guest-00000000-0000-0000-0000-0000000000a1-3.scope --description \
             'Gantry guest web1.example' --property TasksMax=infinity -- /usr/bin/qemu -name web1"
        );
        assert_eq!(command.deadline(), Duration::from_secs(7));
    }

    #[test]
    fn without_systemd_the_command_is_what_it_was() {
        assert_eq!(wrapped(&GuestScopes::Daemons).line(), qemu().line());
    }
}
