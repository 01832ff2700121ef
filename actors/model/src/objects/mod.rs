//! The objects of the configuration.

mod cluster;
mod disk;
mod instance;
mod nic;
mod node;

pub use cluster::{Cluster, JoinTokenRecord};
pub use disk::{Disk, DiskLocation, DiskMode, DiskTemplate};
pub use instance::{AdminState, GuestSpec, Instance};
pub use nic::{Nic, NicError, NicMode, NicOverrides, NicParams, parse_mac};
pub use node::{Node, NodeGroup};
