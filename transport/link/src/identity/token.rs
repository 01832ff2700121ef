//! Join tokens: what an operator carries from the cluster to a new node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Fingerprint;

/// Most addresses in a token. The leader and a few candidates; more only make the text longer.
const ADDRESSES_MAX: usize = 8;

const PREFIX: &str = "gantry-join-1.";
const SECRET_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
const V4: u8 = 4;
const V6: u8 = 6;

/// Admits one node: which authority to trust, the secret to show, and whom to ask.
///
/// The text is `gantry-join-1.` and hexadecimal digits with a checksum, so that a token cut short
/// while pasting is recognised as that. It is a secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The authority whose certificate the leader must show.
    pub authority: Fingerprint,
    /// Where to ask, best first.
    pub addrs: Vec<SocketAddr>,
    secret: [u8; SECRET_BYTES],
}

/// What is wrong with the text of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// Another kind of text, or a later kind of token.
    #[error("join token does not start with {PREFIX:?}")]
    Prefix,
    /// Characters are missing or changed.
    #[error("join token is incomplete or mistyped")]
    Damaged,
    /// No address, or more than tokens may have.
    #[error("join token must have 1 to {ADDRESSES_MAX} addresses")]
    Addresses,
}

impl JoinToken {
    /// Makes a token. `secret` must come from a source fit for keys.
    ///
    /// # Errors
    /// When there is no address, or too many.
    pub fn new(
        authority: Fingerprint,
        secret: [u8; SECRET_BYTES],
        addrs: Vec<SocketAddr>,
    ) -> Result<Self, JoinTokenError> {
        if addrs.is_empty() || addrs.len() > ADDRESSES_MAX {
            return Err(JoinTokenError::Addresses);
        }
        Ok(Self { authority, addrs, secret })
    }

    /// The secret, to be shown to the leader and to nobody else.
    #[must_use]
    pub fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// What the cluster stores in place of the secret. The secret has 256 random bits, so a plain
    /// hash cannot be searched.
    #[must_use]
    pub fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether `secret`, as shown by a joiner, is the one that was stored as `hash`. Takes the same
    /// time whatever the difference.
    #[must_use]
    pub fn secret_matches(secret: &[u8], hash: &[u8; 32]) -> bool {
        let shown: [u8; 32] = Sha256::digest(secret).into();
        shown.ct_eq(hash).into()
    }
}

impl std::fmt::Display for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::new();
        bytes.extend(self.authority.0);
        bytes.extend(self.secret);
        for addr in &self.addrs {
            match addr.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(V4);
                    bytes.extend(ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(V6);
                    bytes.extend(ip.octets());
                }
            }
            bytes.extend(addr.port().to_be_bytes());
        }
        let sum = checksum(&bytes);
        bytes.extend(sum);
        f.write_str(PREFIX)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinToken")
            .field("authority", &self.authority)
            .field("addrs", &self.addrs)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(JoinTokenError::Prefix)?;
        let bytes = from_hex(digits).ok_or(JoinTokenError::Damaged)?;
        let (body, sum) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(JoinTokenError::Damaged)?;
        if checksum(body) != *sum {
            return Err(JoinTokenError::Damaged);
        }
        let mut rest = Rest(body);
        let authority = Fingerprint(rest.take().ok_or(JoinTokenError::Damaged)?);
        let secret = rest.take().ok_or(JoinTokenError::Damaged)?;
        let mut addrs = Vec::new();
        while !rest.0.is_empty() {
            addrs.push(rest.addr().ok_or(JoinTokenError::Damaged)?);
        }
        Self::new(authority, secret, addrs)
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn addr(&mut self) -> Option<SocketAddr> {
        let ip = match self.take::<1>()? {
            [V4] => IpAddr::V4(Ipv4Addr::from(self.take::<4>()?)),
            [V6] => IpAddr::V6(Ipv6Addr::from(self.take::<16>()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)))
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    *digest.first_chunk().expect("4 of 32 bytes")
}

pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        let addrs = vec![
            "192.0.2.7:1811".parse().expect("address"),
            "[2001:db8::1]:1811".parse().expect("address"),
        ];
        JoinToken::new(Fingerprint([1; 32]), [2; 32], addrs).expect("two addresses")
    }

    #[test]
    fn a_token_comes_back_from_its_text() {
        assert_eq!(token().to_string().parse(), Ok(token()));
        assert_eq!(format!(" {}\n", token()).parse(), Ok(token()));
    }

    #[test]
    fn each_missing_or_changed_character_is_noticed() {
        let text = token().to_string();
        for at in PREFIX.len()..text.len() {
            let short = &text[..at];
            assert_eq!(short.parse::<JoinToken>(), Err(JoinTokenError::Damaged), "cut at {at}");
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(changed.parse::<JoinToken>(), Err(JoinTokenError::Damaged), "at {at}");
        }
        assert_eq!("gantry-join-2.00".parse::<JoinToken>(), Err(JoinTokenError::Prefix));
    }

    #[test]
    fn only_the_secret_itself_matches_its_hash() {
        let hash = token().secret_hash();
        assert!(JoinToken::secret_matches(token().secret(), &hash));
        assert!(!JoinToken::secret_matches(&[3; 32], &hash));
        assert!(!JoinToken::secret_matches(&[], &hash));
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", token());
        assert!(!shown.contains("02, 2") && !shown.contains("0202"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_token_or_an_error(text in "(gantry-join-1\\.)?[0-9a-fé]{0,200}") {
            let _ignored = text.parse::<JoinToken>();
        }
    }
}
