//! The only code that runs commands or reads /proc and /sys.
//!
//! It owns: running programs with a deadline ([`Command`], [`CommandRunner`]), starting programs
//! that outlive us ([`CommandRunner::spawn_daemon`]), knowing a process for certain
//! ([`ProcessIdentity`]), the machine's resources ([`NodeResources`], [`DiskSpace`]), files that
//! are whole or not there ([`durable`]), the one door to blocking work ([`Blocking`]), and for the
//! fakes the place where their world is kept ([`RecordStore`]) and what they do wrong on demand
//! ([`Injector`]). Called by hypervisors, storages and the node's actors.
//!
//! Deliberately absent: instances, opcodes, actors, and `unsafe`.

pub mod accounts;
mod blocking;
mod command;
pub mod durable;
mod inject;
mod network;
mod process;
mod recording;
mod records;
mod resources;
mod runner;
mod scripted;

pub use blocking::{Blocking, BlockingLost, Inline, Pool, run_blocking};
pub use command::{
    Command, CommandError, ExitStatus, OUTPUT_BYTES_MAX, Output, TIMEOUT_DEFAULT, tail,
};
pub use inject::{CrashHook, CrashPoint, Injector, Verdict};
pub use network::may_make_taps;
pub use process::{
    ProcessError, ProcessIdentity, ProcessLimits, command_line, find_by_arguments, limits_of,
    may_execute, users_at_work,
};
pub use recording::{Recorded, RecordingRunner};
pub use records::{RecordStore, Records};
pub use resources::{DiskSpace, NodeResources, ResourceError, own_memory_bytes};
pub use runner::{CommandRunner, RealRunner};
pub use scripted::ScriptedRunner;
