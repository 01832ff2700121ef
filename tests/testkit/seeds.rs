//! Everything random in a simulated cluster, derived from its one seed.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Sixteen bytes that follow from the seed, what they are for, and a number.
pub(crate) fn derived(seed: u64, what: &str, number: u64) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(what.as_bytes());
    hasher.update(number.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    bytes
}

/// The same as an id.
pub(crate) fn derived_uuid(seed: u64, what: &str, number: u64) -> Uuid {
    Builder::from_random_bytes(derived(seed, what, number)).into_uuid()
}

/// The same as a seed of something else.
pub(crate) fn derived_seed(seed: u64, what: &str, number: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = derived(seed, what, number);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
