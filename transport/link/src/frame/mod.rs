//! Frames on a stream: a length, then one [`Frame`].
//!
//! The length is four bytes, big-endian, and counts what follows it. [`FrameReader`] is fed bytes
//! as they come and knows no stream, so any split of any bytes can be tried against it. Hellos are
//! in the codec's named form, which every version of every build can read; all other frames are in
//! the [`compact`] form of the version that the hellos agreed on. What is in a body is not looked
//! at here.

mod compact;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use gantry_wire::{AskError, CodecError, Envelope};
use serde::{Deserialize, Serialize};

pub(crate) use compact::CompactError;
use compact::{EnvelopeReader, EnvelopeWriter, put_number, take_number, take_u8};

use crate::hello::{BulkHello, BulkReply, Hello, HelloRefused, HelloReply};
use crate::limits::FRAME_OVERHEAD_BYTES_MAX;

/// Largest frame once the hello is done: the codec's own limit. See there.
pub(crate) const FRAME_BYTES_MAX: usize = gantry_wire::FRAME_BYTES_MAX;

/// Largest frame of a peer that has shown no certificate, and of the hello. A joiner sends a token
/// and a certificate request, together under 2 KiB. Lower would cut long feature lists of a later
/// version, higher would let anybody who reaches the port make us hold that much per connection.
pub(crate) const UNPROVEN_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes reserved ahead of what has arrived. A claimed length is not believed: memory grows with
/// the bytes that came. Lower means more copies of a large frame, higher gives a liar more memory.
const RESERVE_BYTES: usize = 64 * 1024;

/// Bytes by which a buffer of frames grows at least. Lower allocates for every few frames, higher
/// costs that much for each of the lanes of an idle peer.
const BUFFER_BLOCK_BYTES: usize = 8 * 1024;

const LENGTH_BYTES: usize = 4;

/// Which of the streams between two peers a message takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// First on the first stream, from who dialed.
    Hello(Hello),
    /// The answer to a hello that was accepted. A refusal closes the connection with its reason.
    HelloReply(HelloReply),
    /// The answer to a hello that was not, on a local connection.
    HelloRefused(HelloRefused),
    /// First and only on the stream of a bulk connection, from who dialed.
    Bulk(BulkHello),
    /// The answer to it; plain bytes follow when it was taken.
    BulkReply(BulkReply),
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
    /// The bytes of a frame are not one of this version.
    #[error("bytes are not a frame of this version")]
    BadForm(#[source] CompactError),
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

/// The hellos, in the form that never changes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Greeting {
    Hello(Hello),
    HelloReply(HelloReply),
    HelloRefused(HelloRefused),
    Bulk(BulkHello),
    BulkReply(BulkReply),
}

/// The first byte of an encoded [`Greeting`]: a map of one entry. No kind of frame has it.
const GREETING: u8 = 0x81;

const LANE: u8 = 1;
const TELL: u8 = 2;
const ASK: u8 = 3;
const REPLY: u8 = 4;
const FAILURE: u8 = 5;
const GOODBYE: u8 = 6;

/// Makes room for a frame; buffers grow by blocks, so that small frames share one.
fn make_room(out: &mut BytesMut, bytes: usize) {
    if out.capacity() - out.len() < bytes {
        out.reserve(bytes.max(BUFFER_BLOCK_BYTES).max(out.len()));
    }
}

/// Appends a frame whose content `put` appends; takes it back when it is too large or fails.
fn append(
    out: &mut BytesMut,
    put: impl FnOnce(&mut BytesMut) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let start = out.len();
    out.put_u32(0);
    let appended = put(out).and_then(|()| {
        let bytes = out.len() - start - LENGTH_BYTES;
        match u32::try_from(bytes) {
            Ok(length) if bytes <= FRAME_BYTES_MAX => Ok(length),
            _ => Err(CodecError::TooLarge { bytes }),
        }
    });
    match appended {
        Ok(length) => {
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn append_greeting(greeting: &Greeting, out: &mut BytesMut) -> Result<(), CodecError> {
    let encoded = gantry_wire::encode(greeting)?;
    append(out, |out| {
        out.put_slice(&encoded);
        Ok(())
    })
}

/// Appends what became of an ask. Needs no writer: any thread may do it.
pub(crate) fn append_reply(
    id: u64,
    result: &Result<Bytes, AskError>,
    out: &mut BytesMut,
) -> Result<(), CodecError> {
    append(out, |out| {
        let (kind, encoded);
        let content: &[u8] = match result {
            Ok(body) => {
                kind = REPLY;
                body
            }
            Err(error) => {
                kind = FAILURE;
                encoded = gantry_wire::encode(error)?;
                &encoded
            }
        };
        if content.len() > FRAME_BYTES_MAX {
            return Err(CodecError::TooLarge { bytes: content.len() });
        }
        make_room(out, content.len() + REPLY_OVERHEAD_BYTES_MAX);
        out.put_u8(kind);
        put_number(id, out);
        out.put_slice(content);
        Ok(())
    })
}

/// As [`append_reply`] to replies that wait to be written, at most `bytes_max` of them. What cannot
/// be sent is replaced by "unknown": a peer that asks and does not read must not fill our memory.
pub(crate) fn append_reply_bounded(
    id: u64,
    result: Result<Bytes, AskError>,
    bytes_max: usize,
    out: &mut BytesMut,
) {
    let bytes = result.as_ref().map_or(0, Bytes::len);
    let result = if out.len() + bytes > bytes_max {
        Err(AskError::Unknown("its reply was dropped: the asker does not read".to_owned()))
    } else {
        result
    };
    if let Err(error) = append_reply(id, &result, out) {
        let text = format!("its reply of {bytes} bytes cannot be sent: {error}");
        let instead = Err(AskError::Unknown(text));
        append_reply(id, &instead, out).expect("a short text can be encoded");
    }
}

/// Kind and id of a reply.
const REPLY_OVERHEAD_BYTES_MAX: usize = 11;

/// Makes bytes out of the frames of one stream.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    envelopes: EnvelopeWriter,
}

impl FrameWriter {
    /// The writer of a new stream.
    pub(crate) fn new() -> Self {
        Self { envelopes: EnvelopeWriter::new() }
    }

    /// Appends the frame with its length.
    pub(crate) fn append(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), CodecError> {
        match frame {
            Frame::Reply { id, result } => append_reply(*id, result, out),
            Frame::Tell(envelope) => self.append_envelope(None, envelope, out),
            Frame::Ask { id, envelope } => self.append_envelope(Some(*id), envelope, out),
            Frame::Lane(lane) => append(out, |out| {
                out.put_slice(&[LANE, lane.index() as u8]);
                Ok(())
            }),
            Frame::Goodbye => append(out, |out| {
                out.put_u8(GOODBYE);
                Ok(())
            }),
            Frame::Hello(hello) => append_greeting(&Greeting::Hello(hello.clone()), out),
            Frame::HelloReply(reply) => append_greeting(&Greeting::HelloReply(reply.clone()), out),
            Frame::HelloRefused(no) => append_greeting(&Greeting::HelloRefused(no.clone()), out),
            Frame::Bulk(hello) => append_greeting(&Greeting::Bulk(hello.clone()), out),
            Frame::BulkReply(reply) => append_greeting(&Greeting::BulkReply(reply.clone()), out),
        }
    }

    /// Appends a tell, or the ask of that id.
    pub(crate) fn append_envelope(
        &mut self,
        id: Option<u64>,
        envelope: &Envelope,
        out: &mut BytesMut,
    ) -> Result<(), CodecError> {
        // Before any text takes a slot that the other side would not hear of.
        let bytes = envelope.body.len() + FRAME_OVERHEAD_BYTES_MAX;
        if bytes > FRAME_BYTES_MAX {
            return Err(CodecError::TooLarge { bytes });
        }
        make_room(out, bytes + LENGTH_BYTES);
        append(out, |out| {
            match id {
                None => out.put_u8(TELL),
                Some(id) => {
                    out.put_u8(ASK);
                    put_number(id, out);
                }
            }
            self.envelopes.put(envelope, out);
            Ok(())
        })
    }
}

impl Frame {
    /// The frame with its length, as the first of a stream.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, CodecError> {
        let mut out = BytesMut::new();
        FrameWriter::new().append(self, &mut out)?;
        Ok(out.freeze())
    }

    /// The kind, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::HelloReply(_) => "hello-reply",
            Self::HelloRefused(_) => "hello-refused",
            Self::Bulk(_) => "bulk",
            Self::BulkReply(_) => "bulk-reply",
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
    envelopes: EnvelopeReader,
}

impl FrameReader {
    /// A reader that refuses frames above `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let envelopes = EnvelopeReader::default();
        Self { buffer: BytesMut::new(), bytes_max, out_of_step: false, envelopes }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if !self.out_of_step {
            make_room(&mut self.buffer, bytes.len());
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

    /// What has come after the last frame: the rest of the stream is no frames.
    pub(crate) fn into_rest(self) -> Bytes {
        self.buffer.freeze()
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
        let frame = self.buffer.split_to(bytes).freeze();
        self.decode(frame).map(Some)
    }

    fn decode(&mut self, mut frame: Bytes) -> Result<Frame, FrameError> {
        if frame.first() == Some(&GREETING) {
            return match gantry_wire::decode(&frame).map_err(FrameError::Garbage)? {
                Greeting::Hello(hello) => Ok(Frame::Hello(hello)),
                Greeting::HelloReply(reply) => Ok(Frame::HelloReply(reply)),
                Greeting::HelloRefused(refused) => Ok(Frame::HelloRefused(refused)),
                Greeting::Bulk(hello) => Ok(Frame::Bulk(hello)),
                Greeting::BulkReply(reply) => Ok(Frame::BulkReply(reply)),
            };
        }
        self.decode_compact(&mut frame).map_err(|error| match error {
            Either::Form(error) => FrameError::BadForm(error),
            Either::Codec(error) => FrameError::Garbage(error),
        })
    }

    fn decode_compact(&mut self, frame: &mut Bytes) -> Result<Frame, Either> {
        match take_u8(frame, "kind")? {
            LANE => {
                let number = usize::from(take_u8(frame, "lane")?);
                let lane = Lane::ALL.get(number).ok_or(CompactError::OutOfRange("lane"))?;
                nothing_left(frame).map(|()| Frame::Lane(*lane))
            }
            TELL => Ok(Frame::Tell(self.envelopes.take(std::mem::take(frame))?)),
            ASK => {
                let id = take_number(frame, "id")?;
                Ok(Frame::Ask { id, envelope: self.envelopes.take(std::mem::take(frame))? })
            }
            REPLY => {
                let id = take_number(frame, "id")?;
                Ok(Frame::Reply { id, result: Ok(std::mem::take(frame)) })
            }
            FAILURE => {
                let id = take_number(frame, "id")?;
                let error = gantry_wire::decode(frame).map_err(Either::Codec)?;
                Ok(Frame::Reply { id, result: Err(error) })
            }
            GOODBYE => nothing_left(frame).map(|()| Frame::Goodbye),
            _ => Err(CompactError::Unknown("kind").into()),
        }
    }
}

/// What can be wrong with the content of a frame.
enum Either {
    Form(CompactError),
    Codec(CodecError),
}

impl From<CompactError> for Either {
    fn from(error: CompactError) -> Self {
        Self::Form(error)
    }
}

fn nothing_left(frame: &Bytes) -> Result<(), Either> {
    match frame.len() {
        0 => Ok(()),
        bytes => Err(Either::Codec(CodecError::Trailing { bytes })),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use gantry_wire::{ActorPath, NotDelivered};
    use proptest::prelude::*;

    fn envelope(body: Vec<u8>) -> Envelope {
        let to = ActorPath::new("/cluster").expect("valid");
        Envelope::new(to, "ping".into(), body.into(), 1000)
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
        assert!(matches!(reader.next_frame(), Err(FrameError::BadForm(_))));
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
            let mut writer = FrameWriter::new();
            for frame in &sent {
                writer.append(frame, &mut bytes).expect("encodes");
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
            let is_told = |error: &FrameError| {
                matches!(error, FrameError::Garbage(_) | FrameError::BadForm(_))
            };
            let fits = read.as_ref().is_ok_and(Option::is_some);
            prop_assert!(fits || read.as_ref().is_err_and(is_told), "{read:?}");
        }
    }
}
