//! Commands without a noun: about this machine rather than the cluster.

pub(crate) mod complete;
pub(crate) mod completion;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod install_links;
pub(crate) mod install_man;
pub(crate) mod install_units;
pub(crate) mod join;
