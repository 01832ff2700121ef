//! The objects of the configuration.

mod cluster;
mod disk;
mod instance;
mod nic;
mod node;
mod node_change;
mod policy;
mod settings;

pub use cluster::{Cluster, JoinTokenRecord};
pub use disk::{Disk, DiskLocation, DiskMode, DiskTemplate};
pub use instance::{AdminState, GuestSpec, Instance};
pub use nic::{Nic, NicError, NicMode, NicOverrides, NicParams, VLAN_MAX, parse_mac};
pub use node::{
    Node, NodeGroup, NodeTerms, NodeTermsError, States, check_own_parameter, check_states, host_of,
};
pub use node_change::{NodeChange, NodeRole};
pub use policy::{
    InstancePolicy, InstanceSpec, Measured, PolicyError, Ratio, SPEC_NAMES, SpecBounds,
};
pub use settings::{
    CLUSTER_NODE_PARAMETERS, COMPRESSION_TOOLS, ClusterSettings, DISK_PARAMETERS, DISK_STATE_KEYS,
    HV_STATE_KEYS, NODE_PARAMETERS, PlainKind, PlainParam, custom_node_parameters,
    disk_parameters_of,
};
