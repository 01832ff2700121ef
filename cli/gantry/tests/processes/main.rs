//! Faults with real processes: real `gantry` binaries, real QEMU with the tiny guest, real files.
//!
//! Every test has a directory and loopback addresses of its own, so that all may run at once.
//! Whatever a test starts ends with it, guests too. Deliberately absent: what the simulation does
//! better (many seeds, many nodes, broken networks).

mod certificates;
mod client_death;
mod commit_points;
mod completion;
mod console;
mod crash_points;
mod demo;
mod disk_full;
mod guest_death;
mod guest_start;
mod leader_death;
mod local_access;
mod membership;
mod refusals;
mod rig;
mod routing;
mod service;
mod takeover;
mod tracing;
