//! The last output of a console, addressed by offset.

use std::collections::VecDeque;

use gantry_model::messages::ConsoleChunk;

/// How much output of a guest is kept. A boot that ends in a panic prints less. Lower loses the
/// beginning of such a boot for a reader that comes late; higher costs this much memory for each
/// guest that prints.
pub const CONSOLE_RING_BYTES: usize = 64 * 1024;

/// The last bytes of a console. Offsets count all bytes since the guest was adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleRing {
    bytes: VecDeque<u8>,
    end: u64,
}

impl ConsoleRing {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset of the first byte that is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Offset after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The guest has written.
    pub fn push(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(CONSOLE_RING_BYTES)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(CONSOLE_RING_BYTES);
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    /// What is kept from `offset` on; `None` if nothing is there yet. Older bytes than are kept are
    /// skipped. An offset beyond the end comes from a former run of the daemon, whose count was
    /// another: then everything that is kept is given, at its offset.
    #[must_use]
    pub fn read(&self, offset: u64) -> Option<ConsoleChunk> {
        let from = if offset > self.end { self.start() } else { offset.max(self.start()) };
        if from == self.end && offset <= self.end {
            return None;
        }
        // At most CONSOLE_RING_BYTES, therefore an index.
        let skip = (from - self.start()) as usize;
        let bytes = self.bytes.iter().skip(skip).copied().collect();
        Some(ConsoleChunk { offset: from, bytes, closed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(ring: &ConsoleRing, offset: u64) -> Option<(u64, String)> {
        let chunk = ring.read(offset)?;
        Some((chunk.offset, String::from_utf8(chunk.bytes).expect("ascii")))
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let mut ring = ConsoleRing::new();
        assert_eq!(text(&ring, 0), None);
        ring.push(b"hello ");
        assert_eq!(text(&ring, 0), Some((0, "hello ".into())));
        assert_eq!(text(&ring, 6), None);
        ring.push(b"world");
        assert_eq!(text(&ring, 6), Some((6, "world".into())));
        assert_eq!(text(&ring, 8), Some((8, "rld".into())));
    }

    #[test]
    fn a_late_reader_learns_what_it_missed() {
        let mut ring = ConsoleRing::new();
        ring.push(b"lost");
        ring.push(&vec![b'x'; CONSOLE_RING_BYTES]);
        let chunk = ring.read(0).expect("there is something");
        assert_eq!((chunk.offset, chunk.bytes.len()), (4, CONSOLE_RING_BYTES));
    }

    #[test]
    fn one_write_larger_than_the_ring_keeps_its_end() {
        let mut ring = ConsoleRing::new();
        let mut bytes = vec![b'x'; 2 * CONSOLE_RING_BYTES];
        bytes.push(b'!');
        ring.push(&bytes);
        let chunk = ring.read(0).expect("there is something");
        assert_eq!(chunk.bytes.len(), CONSOLE_RING_BYTES);
        assert_eq!(chunk.bytes.last(), Some(&b'!'));
        assert_eq!(chunk.offset + chunk.bytes.len() as u64, ring.end());
    }

    #[test]
    fn an_offset_of_a_former_daemon_starts_over() {
        let mut ring = ConsoleRing::new();
        assert_eq!(text(&ring, 900), Some((0, String::new())));
        ring.push(b"again");
        assert_eq!(text(&ring, 900), Some((0, "again".into())));
    }

    proptest! {
        #[test]
        fn a_reader_that_keeps_up_sees_everything_once(
            writes in proptest::collection::vec((any::<u8>(), 0_usize..50_000), 0..20),
        ) {
            let (mut ring, mut offset) = (ConsoleRing::new(), 0);
            for (byte, n_bytes) in writes {
                ring.push(&vec![byte; n_bytes]);
                let Some(chunk) = ring.read(offset) else {
                    prop_assert_eq!(n_bytes, 0);
                    continue;
                };
                prop_assert_eq!(chunk.offset, offset);
                prop_assert_eq!(&chunk.bytes, &vec![byte; n_bytes]);
                offset += chunk.bytes.len() as u64;
                prop_assert!(ring.end() - ring.start() <= CONSOLE_RING_BYTES as u64);
            }
            prop_assert_eq!(offset, ring.end());
        }
    }
}
