//! The testkit: whole clusters in one process, in virtual time, decided by a seed.
//!
//! [`SimCluster`] owns the machines, their disks, the network and the worlds of guests and disks.
//! Nodes are wired by the daemon's own [`gantry_daemon::Assembly`]; only what lies outside of a
//! node is simulated. [`invariants`] says what must hold of them. Deliberately absent: workloads
//! and expectations (the tests'), certificates (roles are believed on the simulated network), and
//! any real socket, thread or clock. Use it inside [`gantry_runtime::simulate`].

mod authority;
mod client;
mod cluster;
mod configuration;
mod crash;
mod disk;
pub mod invariants;
mod machine;
mod monitor;
pub mod ops;
mod power;
mod seeds;

pub use authority::SimAuthority;
pub use client::{JobEnd, SimClient};
pub use cluster::SimCluster;
pub use crash::{CrashPlan, CrashSchedule};
pub use machine::MachineNumber;
