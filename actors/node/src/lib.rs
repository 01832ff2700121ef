//! The node side: what a node does for the cluster.
//!
//! It owns the actors `/node/<uuid>`, `/instance/<uuid>` and `/instance/<uuid>/disk/<n>`, the
//! [intent journal](journal) that makes each effect happen once, the node calls with their
//! recovery, consoles, and the [`feed`] of events to the leader. The daemon starts it with
//! [`NodeSide::start`]; jobs reach it by message only.
//!
//! Deliberately absent: configuration (a call is complete), decisions (the leader's), the
//! hypervisors and storages themselves, sockets, and the leader's side of anything.

mod actors;
mod calls;
mod config;
mod console;
mod crash;
mod delays;
mod env;
mod facts;
pub mod feed;
pub mod journal;
mod side;

pub use config::{FixedMachine, JOURNAL_FILE, Machine, Membership, NodeConfig, ThisMachine};
pub use console::{CONSOLE_RING_BYTES, ConsoleRing};
pub use crash::{CrashAt, CrashPoints, CrashSpec, CrashSpecError};
pub use side::{ADOPT_DEADLINE, NodeSide, PlatformBlocking, StartError};
