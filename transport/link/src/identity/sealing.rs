//! The cluster key: what seals the secrets that the replicated log carries.
//!
//! Thirty-two random bytes with a generation number. They are in a file of each full candidate
//! ([`IdentityDir`](super::IdentityDir)), never in the log and never in a view. This module seals
//! and opens; what is sealed, where it is kept and when there is another key is decided elsewhere.
//! ChaCha20-Poly1305: one key seals a few secrets, each with a random nonce of 96 bits.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use subtle::ConstantTimeEq;

use super::token::from_hex;

/// Bytes of a cluster key.
pub const CLUSTER_KEY_BYTES: usize = 32;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

/// A cluster key. It prints as nothing.
#[derive(Clone)]
pub struct ClusterKey([u8; CLUSTER_KEY_BYTES]);

/// Why a secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are no key, or no nonce, of ours.
    #[error("not a key or nonce of the right length")]
    Length,
    /// Sealed with another key, for another place, or damaged. AEAD does not say which.
    #[error("sealed with another key, for another place, or damaged")]
    Refused,
}

impl ClusterKey {
    /// A key from random bytes, which must come from a source fit for keys.
    #[must_use]
    pub fn new(bytes: [u8; CLUSTER_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A key that was handed over.
    ///
    /// # Errors
    /// When there are more or fewer bytes than a key has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        bytes.try_into().map(Self).map_err(|_| SealError::Length)
    }

    /// Its bytes: for its file, and for another full candidate.
    #[must_use]
    pub fn bytes(&self) -> &[u8; CLUSTER_KEY_BYTES] {
        &self.0
    }

    /// Seals. `place` says what it is and where it belongs; opening needs the same. A `nonce` must
    /// never be used twice with one key.
    ///
    /// # Errors
    /// When the secret is longer than the algorithm can seal (256 GiB).
    pub fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        place: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut sealed = secret.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.aead()
            .seal_in_place_append_tag(nonce, Aad::from(place), &mut sealed)
            .map_err(|_| SealError::Refused)?;
        Ok(sealed)
    }

    /// Opens what [`ClusterKey::seal`] made for the same place.
    ///
    /// # Errors
    /// When it is not that.
    pub fn open(&self, nonce: &[u8], place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Length)?;
        let mut opened = sealed.to_vec();
        let length = self
            .aead()
            .open_in_place(nonce, Aad::from(place), &mut opened)
            .map_err(|_| SealError::Refused)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn aead(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0).expect("the length is the key's");
        LessSafeKey::new(key)
    }

    pub(super) fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn parse_hex(digits: &str) -> Option<Self> {
        Self::from_bytes(&from_hex(digits)?).ok()
    }
}

impl PartialEq for ClusterKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ClusterKey {}

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(private)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

    fn key() -> ClusterKey {
        ClusterKey::new([77; CLUSTER_KEY_BYTES])
    }

    #[test]
    fn what_is_sealed_can_be_opened_in_its_place_only() {
        let sealed = key().seal(NONCE, b"here", b"the secret").expect("sealed");
        assert_eq!(key().open(&NONCE, b"here", &sealed).as_deref(), Ok(&b"the secret"[..]));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        let other = ClusterKey::new([78; CLUSTER_KEY_BYTES]);
        let refused = Err(SealError::Refused);
        assert_eq!(key().open(&NONCE, b"there", &sealed), refused);
        assert_eq!(key().open(&[8; NONCE_BYTES], b"here", &sealed), refused);
        assert_eq!(other.open(&NONCE, b"here", &sealed), refused);
        assert_eq!(key().open(&NONCE[1..], b"here", &sealed), Err(SealError::Length));
    }

    #[test]
    fn each_changed_or_missing_byte_is_noticed() {
        let sealed = key().seal(NONCE, b"", b"x").expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key().open(&NONCE, b"", &changed), Err(SealError::Refused), "{at}");
            assert_eq!(key().open(&NONCE, b"", &sealed[..at]), Err(SealError::Refused), "{at}");
        }
    }

    #[test]
    fn a_key_prints_as_nothing() {
        assert_eq!(format!("{:?}", key()), "ClusterKey(private)");
    }
}
