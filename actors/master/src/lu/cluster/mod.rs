//! Units on the cluster.

mod destroy;
mod renew_crypto;
