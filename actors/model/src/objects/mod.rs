//! The objects of the configuration.

mod cluster;
mod disk;
mod instance;
mod node;

pub use cluster::{Cluster, JoinTokenRecord};
pub use disk::{Disk, DiskLocation, DiskMode, DiskTemplate};
pub use instance::{AdminState, GuestSpec, Instance, Nic};
pub use node::{Node, NodeGroup};
