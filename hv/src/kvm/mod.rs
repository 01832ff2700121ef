//! Guests under QEMU, accelerated by KVM where that truly works.
//!
//! Each guest is one QEMU process that daemonizes itself and outlives us. All that we must know of
//! it after a restart is in its run directory ([`RunDir`]), written before the process is started;
//! the process is recognised by identity, never by pid alone. While we live, one task per guest
//! holds its monitor and console and turns what they say into events.
//!
//! Interfaces are taps on the node, or networks of QEMU's own where the daemon may not make taps.
//!
//! Deliberately absent, until built: SPICE, migration, hotplug, ballooning.

mod command_line;
mod devices;
mod display;
mod hypervisor;
mod network;
mod pinning;
mod probe;
mod qmp;
mod recover;
mod run_as;
mod run_dir;
mod scope;
mod shell_words;
mod start;
mod stop;
mod taps;
mod watch;

pub use command_line::{DiskPath, LaunchPlan, check, command};
pub use display::Display;
pub use hypervisor::{KvmConfig, KvmHypervisor};
pub use network::Cable;
pub use probe::{Accelerator, AcceleratorChoice, try_kvm};
pub use qmp::{LINE_BYTES_MAX, QmpClient, QmpError, QmpEvent};
pub use run_dir::{GuestRecord, RunDir};
pub use scope::GuestScopes;
pub use taps::SCRIPTS;
