//! Checksums of what is kept.

use sha2::{Digest, Sha256};

/// Bytes of a record's checksum: enough that a flipped bit, a torn or a misplaced record is found
/// with certainty for all practical purposes; it is no defence against an attacker.
pub(crate) const RECORD_SUM_BYTES: usize = 8;

/// The checksum of a record. The index is part of it, so that a record in the wrong place is found.
pub(crate) fn record_sum(index: u64, bytes: &[u8]) -> [u8; RECORD_SUM_BYTES] {
    let digest = Sha256::new().chain_update(index.to_be_bytes()).chain_update(bytes).finalize();
    let mut sum = [0; RECORD_SUM_BYTES];
    sum.copy_from_slice(&digest[..RECORD_SUM_BYTES]);
    sum
}

/// The checksum of a whole file.
pub(crate) fn file_sum(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// As people read it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
