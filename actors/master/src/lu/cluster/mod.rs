//! Units on the cluster.

mod destroy;
mod modify;
mod renew_crypto;
