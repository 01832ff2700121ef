//! Frames on a stream: a length, then one encoded [`Frame`].
//!
//! The length is four bytes, big-endian, and counts what follows it. [`FrameReader`] is fed bytes
//! as they come and knows no stream, so any split of any bytes can be tried against it. What is in
//! an envelope is not looked at here.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use gantry_wire::{AskError, CodecError, Envelope};
use serde::{Deserialize, Serialize};

use crate::hello::{Hello, HelloReply};

/// Largest frame once the hello is done: the codec's own limit. See there.
pub(crate) const FRAME_BYTES_MAX: usize = gantry_wire::FRAME_BYTES_MAX;

/// Largest frame of a peer that has shown no certificate, and of the hello. A joiner sends a token
/// and a certificate request, together under 2 KiB. Lower would cut long feature lists of a later
/// version, higher would let anybody who reaches the port make us hold that much per connection.
pub(crate) const UNPROVEN_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes reserved ahead of what has arrived. A claimed length is not believed: memory grows with
/// the bytes that came. Lower means more copies of a large frame, higher gives a liar more memory.
const RESERVE_BYTES: usize = 64 * 1024;

const LENGTH_BYTES: usize = 4;

/// Which of the streams between two peers a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lane {
    /// Locks, jobs, consensus: small, and others wait for them.
    Control,
    /// Everything else.
    User,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Control, Self::User];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::User => 1,
        }
    }
}

/// Everything that travels on a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Frame {
    /// First on the first stream, from who dialed.
    Hello(Hello),
    /// The answer to a hello that was accepted. A refusal closes the connection with its reason.
    HelloReply(HelloReply),
    /// First on every later stream, from who dialed: what the stream is for.
    Lane(Lane),
    /// A message without a reply.
    Tell(Envelope),
    /// A message whose reply carries the same id.
    Ask {
        /// Unique among the asks of one side of one connection.
        id: u64,
        /// The message.
        envelope: Envelope,
    },
    /// What became of an ask.
    Reply {
        /// The ask.
        id: u64,
        /// The encoded reply, or the outcome.
        result: Result<Bytes, AskError>,
    },
    /// Last on a lane: the process is ending.
    Goodbye,
}

/// Why bytes on a stream are not frames. The stream is closed, nothing else suffers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The claimed length is beyond the limit.
    #[error("frame of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// The claim.
        bytes: usize,
        /// The limit of this stream.
        bytes_max: usize,
    },
    /// The bytes of a frame are not one.
    #[error("bytes are not a frame")]
    Garbage(#[source] CodecError),
    /// The stream ended inside a frame.
    #[error("stream ended {bytes} bytes into a frame")]
    Truncated {
        /// Bytes of the frame that had come, its length included.
        bytes: usize,
    },
    /// The frame is well-formed but has no place there.
    #[error("unexpected {frame} frame")]
    Unexpected {
        /// Its kind.
        frame: &'static str,
    },
    /// An earlier frame was bad, so where the next one begins is not known.
    #[error("stream is out of step since an earlier bad frame")]
    OutOfStep,
}

impl Frame {
    /// Appends the frame with its length.
    pub(crate) fn append_to(&self, out: &mut BytesMut) -> Result<(), CodecError> {
        let body = gantry_wire::encode(self)?;
        out.reserve(LENGTH_BYTES + body.len());
        out.put_u32(u32::try_from(body.len()).expect("the codec refuses more than 16 MiB"));
        out.put_slice(&body);
        Ok(())
    }

    /// The frame with its length.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, CodecError> {
        let mut out = BytesMut::new();
        self.append_to(&mut out)?;
        Ok(out.freeze())
    }

    /// The kind, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::HelloReply(_) => "hello-reply",
            Self::Lane(_) => "lane",
            Self::Tell(_) => "tell",
            Self::Ask { .. } => "ask",
            Self::Reply { .. } => "reply",
            Self::Goodbye => "goodbye",
        }
    }
}

/// Makes frames out of bytes as they come.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    bytes_max: usize,
    out_of_step: bool,
}

impl FrameReader {
    /// A reader that refuses frames above `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), bytes_max, out_of_step: false }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if !self.out_of_step {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next frame, or `None` until more bytes come.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.out_of_step {
            return Err(FrameError::OutOfStep);
        }
        let read = self.read_frame();
        if read.is_err() {
            self.out_of_step = true;
            self.buffer = BytesMut::new();
        }
        read
    }

    /// Checks that a stream that ended did so between two frames.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        match self.buffer.len() {
            0 => Ok(()),
            bytes => Err(FrameError::Truncated { bytes }),
        }
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes > self.bytes_max {
            return Err(FrameError::TooLarge { bytes, bytes_max: self.bytes_max });
        }
        let whole = LENGTH_BYTES + bytes;
        if self.buffer.len() < whole {
            self.buffer.reserve((whole - self.buffer.len()).min(RESERVE_BYTES));
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let body = self.buffer.split_to(bytes);
        gantry_wire::decode(&body).map(Some).map_err(FrameError::Garbage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_wire::{ActorPath, NotDelivered};
    use proptest::prelude::*;

    fn envelope(body: Vec<u8>) -> Envelope {
        Envelope {
            to: ActorPath::new("/cluster").expect("valid"),
            message: "ping".to_owned(),
            body: body.into(),
            deadline_ms: 1000,
            trace: None,
            request: None,
            fence: None,
            incarnation: None,
            origin: None,
            hops: 0,
        }
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let body = proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            Just(Frame::Goodbye),
            Just(Frame::Lane(Lane::User)),
            body.clone().prop_map(|body| Frame::Tell(envelope(body))),
            (any::<u64>(), body.clone())
                .prop_map(|(id, body)| Frame::Ask { id, envelope: envelope(body) }),
            (any::<u64>(), body)
                .prop_map(|(id, body)| Frame::Reply { id, result: Ok(body.into()) }),
            any::<u64>().prop_map(|id| Frame::Reply {
                id,
                result: Err(NotDelivered::NoSuchActor("/x".to_owned()).into())
            }),
        ]
    }

    #[test]
    fn an_oversized_claim_is_refused_before_its_bytes_come() {
        let mut reader = FrameReader::new(100);
        reader.extend(&101_u32.to_be_bytes());
        let refused = reader.next_frame();
        assert!(matches!(refused, Err(FrameError::TooLarge { bytes: 101, bytes_max: 100 })));
    }

    #[test]
    fn a_claim_reserves_little_until_bytes_come() {
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        reader.extend(&u32::try_from(FRAME_BYTES_MAX).expect("fits").to_be_bytes());
        assert!(matches!(reader.next_frame(), Ok(None)));
        assert!(reader.buffer.capacity() <= 2 * RESERVE_BYTES, "{}", reader.buffer.capacity());
    }

    #[test]
    fn a_reader_stays_out_of_step_after_garbage() {
        let mut reader = FrameReader::new(100);
        reader.extend(&[0, 0, 0, 1, 0xc1]);
        assert!(matches!(reader.next_frame(), Err(FrameError::Garbage(_))));
        reader.extend(&Frame::Goodbye.to_bytes().expect("encodes"));
        assert!(matches!(reader.next_frame(), Err(FrameError::OutOfStep)));
    }

    #[test]
    fn an_end_inside_a_frame_is_told() {
        let mut reader = FrameReader::new(100);
        reader.extend(&[0, 0, 0]);
        assert!(matches!(reader.next_frame(), Ok(None)));
        assert!(matches!(reader.finish(), Err(FrameError::Truncated { bytes: 3 })));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_their_bytes_are_split(
            sent in proptest::collection::vec(frames(), 0..8),
            cuts in proptest::collection::vec(1_usize..200, 1..40),
        ) {
            let mut bytes = BytesMut::new();
            for frame in &sent {
                frame.append_to(&mut bytes).expect("encodes");
            }
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            let mut came = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !bytes.is_empty() {
                let n = cuts.next().unwrap_or(1).min(bytes.len());
                reader.extend(&bytes.split_to(n));
                while let Some(frame) = reader.next_frame().expect("no error") {
                    came.push(frame);
                }
            }
            prop_assert_eq!(came, sent);
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn any_bytes_give_frames_or_an_error(pieces: Vec<Vec<u8>>) {
            let mut reader = FrameReader::new(1000);
            for piece in pieces {
                reader.extend(&piece);
                while let Ok(Some(_)) = reader.next_frame() {}
            }
        }

        #[test]
        fn any_body_of_the_claimed_length_gives_a_frame_or_garbage(body: Vec<u8>) {
            let mut reader = FrameReader::new(FRAME_BYTES_MAX);
            reader.extend(&u32::try_from(body.len()).expect("small").to_be_bytes());
            reader.extend(&body);
            let read = reader.next_frame();
            prop_assert!(matches!(read, Ok(Some(_)) | Err(FrameError::Garbage(_))), "{read:?}");
        }
    }
}
