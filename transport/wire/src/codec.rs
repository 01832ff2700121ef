//! The one codec: MessagePack with named fields.
//!
//! Named, because positional records cannot be read by an older or newer peer and silently swap
//! fields of the same type. Before a frame is decoded into a type it is walked once without
//! allocating: depth, number of elements and trailing bytes are checked there, so that a small
//! hostile frame cannot become a large value.

use std::cell::RefCell;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest encoded message. Bulk data has its own connection, so a message is a description of
/// something: the largest real one is a list of 20,000 instances (about 10 MiB when every column is
/// asked for). Lower would cut such lists; higher lets one peer hold more memory per stream.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Deepest nesting. Our deepest value (a job with an opcode with disks with parameters) has 12
/// levels; a filter typed by a user nests as deep as its parentheses. Higher costs stack.
pub const DEPTH_MAX: usize = 64;

/// Most elements (scalars, keys, containers) in one message, whatever its size. A list of 20,000
/// instances with 40 columns has 0.8 million. Each element costs at most some hundred bytes when
/// decoded, so this bounds the amplification.
pub const ELEMENTS_MAX: usize = 2_000_000;

/// Most empty maps and lists in one message. One byte can become a record whose fields all have
/// defaults, some hundred bytes, which is the worst amplification there is; this bounds it to some
/// tens of MiB. A list of 20,000 instances has a few empty lists in each. Lower would cut it.
pub const EMPTY_CONTAINERS_MAX: usize = 100_000;

/// Bytes that each thread keeps for encoding. Larger values allocate twice; higher is memory of
/// every thread that ever encoded a large one.
const SCRATCH_BYTES_KEPT: usize = 16 * 1024;

/// Why bytes are not a value, or a value cannot be bytes.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Longer than [`FRAME_BYTES_MAX`].
    #[error("{bytes} bytes exceed the frame limit of {FRAME_BYTES_MAX}")]
    TooLarge {
        /// The size.
        bytes: usize,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More than [`ELEMENTS_MAX`] elements.
    #[error("more than {ELEMENTS_MAX} elements")]
    TooManyElements,
    /// More than [`EMPTY_CONTAINERS_MAX`] empty containers.
    #[error("more than {EMPTY_CONTAINERS_MAX} empty maps and lists")]
    TooManyEmpty,
    /// The bytes end inside a value.
    #[error("truncated after {bytes} bytes")]
    Truncated {
        /// Number of bytes that were there.
        bytes: usize,
    },
    /// Bytes follow the value.
    #[error("{bytes} bytes follow the value")]
    Trailing {
        /// Number of bytes too many.
        bytes: usize,
    },
    /// A marker that MessagePack does not define, or extension types, which we do not use.
    #[error("unexpected marker {marker:#04x}")]
    BadMarker {
        /// The byte.
        marker: u8,
    },
    /// Well-formed, but not this type.
    #[error("not a {expected}")]
    WrongShape {
        /// Name of the Rust type.
        expected: &'static str,
        /// What the decoder said.
        #[source]
        source: rmp_serde::decode::Error,
    },
    /// The value cannot be encoded.
    #[error("cannot encode")]
    Encode(#[source] rmp_serde::encode::Error),
}

/// Encodes a value with named fields.
///
/// # Errors
/// When the value exceeds the limits of a frame, so that nothing is sent that no one would accept.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = rmp_serde::to_vec_named(value).map_err(CodecError::Encode)?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// [`encode`] into exactly as many bytes as it takes, with one allocation: for what is sent often.
///
/// # Errors
/// As [`encode`].
pub fn encode_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, CodecError> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out, so that a value whose encoding encodes another finds none, and not a borrowed one.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let encoded = rmp_serde::encode::write_named(&mut scratch, value).map_err(CodecError::Encode);
    let encoded = encoded.and_then(|()| match scratch.len() {
        bytes if bytes > FRAME_BYTES_MAX => Err(CodecError::TooLarge { bytes }),
        _ => Ok(Bytes::copy_from_slice(&scratch)),
    });
    if scratch.capacity() <= SCRATCH_BYTES_KEPT {
        SCRATCH.set(scratch);
    }
    encoded
}

/// Decodes one value that fills `bytes` exactly.
///
/// # Errors
/// When the bytes are too many, too deep, truncated, followed by others, or not a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    check_shape(bytes)?;
    rmp_serde::from_slice(bytes)
        .map_err(|source| CodecError::WrongShape { expected: std::any::type_name::<T>(), source })
}

/// Walks one value without building it.
fn check_shape(bytes: &[u8]) -> Result<(), CodecError> {
    let mut walk = Walk { bytes, at: 0 };
    // Elements still to read at each open level; a fixed array so that a walk costs no memory.
    let mut open = [0_u64; DEPTH_MAX];
    let mut depth = 0;
    let (mut n_elements, mut n_empty) = (0_usize, 0_usize);
    loop {
        n_elements += 1;
        if n_elements > ELEMENTS_MAX {
            return Err(CodecError::TooManyElements);
        }
        let (children, is_container) = walk.element()?;
        if children == 0 && is_container {
            n_empty += 1;
            if n_empty > EMPTY_CONTAINERS_MAX {
                return Err(CodecError::TooManyEmpty);
            }
        }
        if children > 0 {
            if depth == DEPTH_MAX {
                return Err(CodecError::TooDeep);
            }
            open[depth] = children;
            depth += 1;
        } else {
            while depth > 0 {
                open[depth - 1] -= 1;
                if open[depth - 1] > 0 {
                    break;
                }
                depth -= 1;
            }
        }
        if depth == 0 {
            break;
        }
    }
    match bytes.len() - walk.at {
        0 => Ok(()),
        rest => Err(CodecError::Trailing { bytes: rest }),
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// Reads one marker with its payload; returns how many elements it contains, and whether it is
    /// one that can.
    fn element(&mut self) -> Result<(u64, bool), CodecError> {
        let marker = self.number(1)? as u8;
        let (skip, children) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
            0x80..=0x8f => (0, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => (0, u64::from(marker & 0x0f)),
            0xa0..=0xbf => (u64::from(marker & 0x1f), 0),
            0xc4 | 0xd9 => (self.number(1)?, 0),
            0xc5 | 0xda => (self.number(2)?, 0),
            0xc6 | 0xdb => (self.number(4)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xdc => (0, self.number(2)?),
            0xdd => (0, self.number(4)?),
            0xde => (0, 2 * self.number(2)?),
            0xdf => (0, 2 * self.number(4)?),
            _ => return Err(CodecError::BadMarker { marker }),
        };
        self.skip(skip)?;
        Ok((children, matches!(marker, 0x80..=0x9f | 0xdc..=0xdf)))
    }

    fn number(&mut self, n_bytes: usize) -> Result<u64, CodecError> {
        let start = self.at;
        self.skip(n_bytes as u64)?;
        Ok(self.bytes[start..self.at].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn skip(&mut self, n_bytes: u64) -> Result<(), CodecError> {
        let left = (self.bytes.len() - self.at) as u64;
        if n_bytes > left {
            return Err(CodecError::Truncated { bytes: self.bytes.len() });
        }
        self.at += n_bytes as usize;
        Ok(())
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_five_byte_claim_of_four_billion_elements_is_refused() {
        for marker in [0xdd, 0xdf, 0xdb, 0xc6] {
            let bytes = [marker, 0xff, 0xff, 0xff, 0xff];
            assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::Truncated { .. })));
        }
    }

    #[test]
    fn a_megabyte_of_empty_maps_is_walked_without_building_anything() {
        let n: u32 = 2_500_000;
        let mut bytes = vec![0xdd];
        bytes.extend(n.to_be_bytes());
        bytes.resize(5 + n as usize, 0x80);
        assert!(matches!(decode::<Vec<BTreeMap<u8, u8>>>(&bytes), Err(CodecError::TooManyEmpty)));
    }

    #[test]
    fn too_many_elements_are_refused() {
        let n: u32 = 2_500_000;
        let mut bytes = vec![0xdd];
        bytes.extend(n.to_be_bytes());
        bytes.resize(5 + n as usize, 0x07);
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::TooManyElements)));
    }

    #[test]
    fn a_small_frame_cannot_become_a_large_value() {
        #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        struct Record {
            numbers: [u64; 32],
        }
        // A mebibyte of records of 256 bytes, each written as one byte.
        let n: u32 = 1024 * 1024;
        let mut bytes = vec![0xdd];
        bytes.extend(n.to_be_bytes());
        bytes.resize(5 + n as usize, 0x80);
        assert!(matches!(decode::<Vec<Record>>(&bytes), Err(CodecError::TooManyEmpty)));
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused() {
        let mut bytes = vec![0x91; DEPTH_MAX + 1];
        bytes.push(0xc0);
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::TooDeep)));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7_u8).expect("encodes");
        bytes.push(0);
        assert!(matches!(decode::<u8>(&bytes), Err(CodecError::Trailing { bytes: 1 })));
    }

    #[test]
    fn extension_types_are_refused() {
        assert!(matches!(decode::<u8>(&[0xd4, 1, 0]), Err(CodecError::BadMarker { marker: 0xd4 })));
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value: (u64, String, Vec<Option<i32>>, BTreeMap<String, bool>)) {
            let bytes = encode(&value).expect("encodes");
            let back: (u64, String, Vec<Option<i32>>, BTreeMap<String, bool>) =
                decode(&bytes).expect("decodes");
            prop_assert_eq!(&encode_bytes(&value).expect("encodes"), &bytes);
            prop_assert_eq!(back, value);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes: Vec<u8>) {
            let _ignored = decode::<BTreeMap<String, Vec<u64>>>(&bytes);
        }
    }
}
