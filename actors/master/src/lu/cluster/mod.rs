//! Units on the cluster.

mod destroy;
