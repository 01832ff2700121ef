//! Commands without a noun: about this machine rather than the cluster.

pub(crate) mod completion;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod install_links;
pub(crate) mod join;
