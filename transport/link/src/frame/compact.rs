//! The form of frames on a lane: kinds and numbers instead of names and maps.
//!
//! Bodies stay in the one codec with named fields; this is only what stands around them, and it is
//! versioned as a whole by the hello. Paths and wire names travel once per stream: the sender puts
//! a text into a numbered slot and names the slot afterwards. Numbers are LEB128, at most 64 bits.
//!
//! ```text
//! frame    := kind:u8 ...
//!   lane     := number:u8
//!   tell     := envelope
//!   ask      := id:num envelope
//!   reply    := id:num body...
//!   failure  := id:num outcome...            (the codec's)
//!   goodbye  :=
//! envelope := flags:u8 path name deadline_ms:num [extras] body...
//!   path, name := slot:num                   (as put there before)
//!               | slot:num length:num text   (its flag is set: puts it there)
//!   extras   := bits:u8 [trace:16 parent:8] [request:16] [reign:num attempt:num]
//!               [incarnation:num] [origin:u8] [hops:u8]
//! ```

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use gantry_wire::{
    ActorPath, Envelope, Fence, IncarnationId, RequestId, Role, SpanId, TraceContext, TraceId,
    WIRE_NAME_BYTES_MAX, WireName,
};
use uuid::Uuid;

/// Slots for paths, and for names, of one stream. As many hot receivers cost a few bytes a message;
/// more only cost their text again. Higher lets a hostile peer make us hold that many texts of
/// [`gantry_wire::PATH_BYTES_MAX`] bytes per stream.
const SLOTS_MAX: usize = 1024;

const PUTS_PATH: u8 = 1;
const PUTS_NAME: u8 = 2;
const HAS_EXTRAS: u8 = 4;
const KNOWN_FLAGS: u8 = PUTS_PATH | PUTS_NAME | HAS_EXTRAS;

const HAS_TRACE: u8 = 1;
const HAS_REQUEST: u8 = 2;
const HAS_FENCE: u8 = 4;
const HAS_INCARNATION: u8 = 8;
const HAS_ORIGIN: u8 = 16;
const HAS_HOPS: u8 = 32;
const KNOWN_EXTRAS: u8 =
    HAS_TRACE | HAS_REQUEST | HAS_FENCE | HAS_INCARNATION | HAS_ORIGIN | HAS_HOPS;

/// What is wrong with the bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompactError {
    /// The bytes end inside a field.
    #[error("truncated in its {0}")]
    Truncated(&'static str),
    /// A number of more than 64 bits, or beyond its field.
    #[error("its {0} is out of range")]
    OutOfRange(&'static str),
    /// A bit or a kind that this version does not know.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// A path or a name that breaks the rules of paths or names.
    #[error("its {0} is not one")]
    BadText(&'static str),
}

/// The texts that the sending side has put into slots.
#[derive(Debug)]
struct Slots<T> {
    by_text: BTreeMap<T, u64>,
    in_order: Vec<T>,
    /// The slot that is given away next, once all are taken.
    oldest: usize,
    /// The one used last: messages come in runs.
    last: Option<(T, u64)>,
}

impl<T: Ord + Clone> Slots<T> {
    fn new() -> Self {
        Self { by_text: BTreeMap::new(), in_order: Vec::new(), oldest: 0, last: None }
    }

    /// The slot of a text, and whether it has to be put there now.
    fn slot(&mut self, text: &T) -> (u64, bool) {
        if let Some((last, slot)) = &self.last
            && last == text
        {
            return (*slot, false);
        }
        let (slot, is_new) = match self.by_text.get(text) {
            Some(slot) => (*slot, false),
            None => (self.put(text), true),
        };
        self.last = Some((text.clone(), slot));
        (slot, is_new)
    }

    fn put(&mut self, text: &T) -> u64 {
        let slot = if self.in_order.len() < SLOTS_MAX {
            self.in_order.push(text.clone());
            self.in_order.len() - 1
        } else {
            let slot = self.oldest;
            self.oldest = (slot + 1) % SLOTS_MAX;
            let former = std::mem::replace(&mut self.in_order[slot], text.clone());
            self.by_text.remove(&former);
            slot
        };
        self.by_text.insert(text.clone(), slot as u64);
        slot as u64
    }
}

/// The sending side of one stream.
#[derive(Debug)]
pub(super) struct EnvelopeWriter {
    paths: Slots<ActorPath>,
    names: Slots<WireName>,
}

impl EnvelopeWriter {
    pub(super) fn new() -> Self {
        Self { paths: Slots::new(), names: Slots::new() }
    }

    pub(super) fn put(&mut self, envelope: &Envelope, out: &mut BytesMut) {
        let (path, puts_path) = self.paths.slot(&envelope.to);
        let (name, puts_name) = self.names.slot(&envelope.message);
        let extras = extras_of(envelope);
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        out.put_u8(
            flag(puts_path, PUTS_PATH) | flag(puts_name, PUTS_NAME) | flag(extras != 0, HAS_EXTRAS),
        );
        put_text(path, puts_path.then_some(envelope.to.as_str()), out);
        put_text(name, puts_name.then_some(envelope.message.as_str()), out);
        put_number(u64::from(envelope.deadline_ms), out);
        if extras != 0 {
            put_extras(extras, envelope, out);
        }
        out.put_slice(&envelope.body);
    }
}

fn put_text(slot: u64, text: Option<&str>, out: &mut BytesMut) {
    put_number(slot, out);
    if let Some(text) = text {
        put_number(text.len() as u64, out);
        out.put_slice(text.as_bytes());
    }
}

fn extras_of(envelope: &Envelope) -> u8 {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(envelope.trace.is_some(), HAS_TRACE)
        | flag(envelope.request.is_some(), HAS_REQUEST)
        | flag(envelope.fence.is_some(), HAS_FENCE)
        | flag(envelope.incarnation.is_some(), HAS_INCARNATION)
        | flag(envelope.origin.is_some(), HAS_ORIGIN)
        | flag(envelope.hops != 0, HAS_HOPS)
}

fn put_extras(extras: u8, envelope: &Envelope, out: &mut BytesMut) {
    out.put_u8(extras);
    if let Some(trace) = &envelope.trace {
        out.put_slice(trace.trace.0.as_bytes());
        out.put_u64(trace.parent.0);
    }
    if let Some(request) = &envelope.request {
        out.put_slice(request.0.as_bytes());
    }
    if let Some(fence) = &envelope.fence {
        put_number(fence.reign, out);
        put_number(fence.attempt, out);
    }
    if let Some(incarnation) = &envelope.incarnation {
        put_number(incarnation.0, out);
    }
    if let Some(origin) = envelope.origin {
        let number = Role::ALL.into_iter().take_while(|role| *role != origin).count();
        out.put_u8(number as u8);
    }
    if envelope.hops != 0 {
        out.put_u8(envelope.hops);
    }
}

/// The receiving side of one stream.
#[derive(Debug, Default)]
pub(super) struct EnvelopeReader {
    paths: Vec<ActorPath>,
    names: Vec<WireName>,
}

impl EnvelopeReader {
    /// The envelope that fills the rest of a frame.
    pub(super) fn take(&mut self, mut frame: Bytes) -> Result<Envelope, CompactError> {
        let flags = take_u8(&mut frame, "flags")?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(CompactError::Unknown("flag"));
        }
        let to = take_text(&mut self.paths, flags & PUTS_PATH != 0, &mut frame, "path", |text| {
            ActorPath::new(text).ok()
        })?;
        let message =
            take_text(&mut self.names, flags & PUTS_NAME != 0, &mut frame, "name", |text| {
                (text.len() <= WIRE_NAME_BYTES_MAX).then(|| text.to_owned().into())
            })?;
        let deadline_ms = u32::try_from(take_number(&mut frame, "deadline")?)
            .map_err(|_| CompactError::OutOfRange("deadline"))?;
        let mut envelope = Envelope::new(to, message, Bytes::new(), deadline_ms);
        if flags & HAS_EXTRAS != 0 {
            take_extras(&mut envelope, &mut frame)?;
        }
        envelope.body = frame;
        Ok(envelope)
    }
}

fn take_text<T: Clone>(
    slots: &mut Vec<T>,
    puts: bool,
    frame: &mut Bytes,
    what: &'static str,
    check: impl FnOnce(&str) -> Option<T>,
) -> Result<T, CompactError> {
    let slot = take_number(frame, what)?;
    let slot = usize::try_from(slot).map_err(|_| CompactError::OutOfRange(what))?;
    if !puts {
        return slots.get(slot).cloned().ok_or(CompactError::OutOfRange(what));
    }
    // Slots are filled in order, so a claim of a far one reserves nothing.
    if slot > slots.len() || slot >= SLOTS_MAX {
        return Err(CompactError::OutOfRange(what));
    }
    let length = take_number(frame, what)?;
    let length = usize::try_from(length).map_err(|_| CompactError::OutOfRange(what))?;
    if length > frame.len() {
        return Err(CompactError::Truncated(what));
    }
    let text = frame.split_to(length);
    let text = std::str::from_utf8(&text).ok().and_then(check);
    let text = text.ok_or(CompactError::BadText(what))?;
    match slots.get_mut(slot) {
        Some(taken) => *taken = text.clone(),
        None => slots.push(text.clone()),
    }
    Ok(text)
}

fn take_extras(envelope: &mut Envelope, frame: &mut Bytes) -> Result<(), CompactError> {
    let bits = take_u8(frame, "extras")?;
    if bits & !KNOWN_EXTRAS != 0 {
        return Err(CompactError::Unknown("extra"));
    }
    if bits & HAS_TRACE != 0 {
        let trace = TraceId(take_uuid(frame, "trace")?);
        let parent = frame.try_get_u64().map_err(|_| CompactError::Truncated("trace"))?;
        envelope.trace = Some(TraceContext { trace, parent: SpanId(parent) });
    }
    if bits & HAS_REQUEST != 0 {
        envelope.request = Some(RequestId(take_uuid(frame, "request")?));
    }
    if bits & HAS_FENCE != 0 {
        let reign = take_number(frame, "fence")?;
        envelope.fence = Some(Fence { reign, attempt: take_number(frame, "fence")? });
    }
    if bits & HAS_INCARNATION != 0 {
        envelope.incarnation = Some(IncarnationId(take_number(frame, "incarnation")?));
    }
    if bits & HAS_ORIGIN != 0 {
        let number = usize::from(take_u8(frame, "origin")?);
        let origin = Role::ALL.get(number).ok_or(CompactError::OutOfRange("origin"))?;
        envelope.origin = Some(*origin);
    }
    if bits & HAS_HOPS != 0 {
        envelope.hops = take_u8(frame, "hops")?;
    }
    Ok(())
}

pub(super) fn take_u8(frame: &mut Bytes, what: &'static str) -> Result<u8, CompactError> {
    frame.try_get_u8().map_err(|_| CompactError::Truncated(what))
}

fn take_uuid(frame: &mut Bytes, what: &'static str) -> Result<Uuid, CompactError> {
    frame.try_get_u128().map(Uuid::from_u128).map_err(|_| CompactError::Truncated(what))
}

pub(super) fn put_number(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

pub(super) fn take_number(frame: &mut Bytes, what: &'static str) -> Result<u64, CompactError> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take_u8(frame, what)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(CompactError::OutOfRange(what));
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(CompactError::OutOfRange(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(path: &str, name: &'static str) -> Envelope {
        let to = ActorPath::new(path).expect("valid");
        Envelope::new(to, name.into(), Bytes::from_static(b"body"), 1000)
    }

    fn written(writer: &mut EnvelopeWriter, envelope: &Envelope) -> Bytes {
        let mut out = BytesMut::new();
        writer.put(envelope, &mut out);
        out.freeze()
    }

    #[test]
    fn texts_travel_once() {
        let mut writer = EnvelopeWriter::new();
        let envelope = envelope("/instance/7", "instance.stop");
        let first = written(&mut writer, &envelope).len();
        let second = written(&mut writer, &envelope).len();
        // Both lengths and both texts.
        assert_eq!(first - second, 2 + "/instance/7".len() + "instance.stop".len());
        assert!(second <= envelope.body.len() + 8, "{second}");
    }

    #[test]
    fn more_texts_than_slots_still_arrive() {
        let (mut writer, mut reader) = (EnvelopeWriter::new(), EnvelopeReader::default());
        for round in 0..2 {
            for n in 0..SLOTS_MAX + 10 {
                let sent = envelope(&format!("/job/{}", n * (1 + round)), "job.run");
                assert_eq!(reader.take(written(&mut writer, &sent)), Ok(sent));
            }
        }
        assert_eq!(reader.paths.len(), SLOTS_MAX);
    }

    #[test]
    fn a_slot_that_was_never_filled_is_refused() {
        let mut reader = EnvelopeReader::default();
        let refused = reader.take(Bytes::from_static(&[0, 5, 0, 1]));
        assert_eq!(refused, Err(CompactError::OutOfRange("path")));
        let far = reader.take(Bytes::from_static(&[PUTS_PATH, 9, 2, b'/', b'a', 0, 1]));
        assert_eq!(far, Err(CompactError::OutOfRange("path")));
    }

    #[test]
    fn what_this_version_does_not_know_is_refused() {
        let mut reader = EnvelopeReader::default();
        let refused = reader.take(Bytes::from_static(&[0x80, 0, 0, 1]));
        assert_eq!(refused, Err(CompactError::Unknown("flag")));
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let mut eleven = Bytes::from_static(&[0xff; 11]);
        assert_eq!(take_number(&mut eleven, "id"), Err(CompactError::OutOfRange("id")));
    }

    prop_compose! {
        fn envelopes()(
            path in "/[a-z]{1,5}(/[0-9]{1,3})?", name in "[a-z]{1,5}", body: Vec<u8>,
            deadline_ms: u32, trace: Option<(u128, u64)>, request: Option<u128>,
            fence: Option<(u64, u64)>, incarnation: Option<u64>,
            origin in proptest::option::of(0..Role::ALL.len()), hops in 0..4_u8,
        ) -> Envelope {
            Envelope {
                to: ActorPath::new(&path).expect("valid"),
                message: name.into(),
                body: body.into(),
                deadline_ms,
                trace: trace.map(|(trace, parent)| TraceContext {
                    trace: TraceId(Uuid::from_u128(trace)),
                    parent: SpanId(parent),
                }),
                request: request.map(|request| RequestId(Uuid::from_u128(request))),
                fence: fence.map(|(reign, attempt)| Fence { reign, attempt }),
                incarnation: incarnation.map(IncarnationId),
                origin: origin.map(|number| Role::ALL[number]),
                hops,
            }
        }
    }

    proptest! {
        #[test]
        fn envelopes_come_back(sent in proptest::collection::vec(envelopes(), 1..20)) {
            let (mut writer, mut reader) = (EnvelopeWriter::new(), EnvelopeReader::default());
            for envelope in sent {
                let bytes = written(&mut writer, &envelope);
                prop_assert_eq!(reader.take(bytes), Ok(envelope));
            }
        }

        #[test]
        fn any_bytes_give_an_envelope_or_an_error(frames: Vec<Vec<u8>>) {
            let mut reader = EnvelopeReader::default();
            for frame in frames {
                let _either = reader.take(frame.into());
            }
        }

        #[test]
        fn numbers_come_back(number: u64) {
            let mut out = BytesMut::new();
            put_number(number, &mut out);
            let mut bytes = out.freeze();
            prop_assert_eq!(take_number(&mut bytes, "number"), Ok(number));
            prop_assert!(bytes.is_empty());
        }
    }
}
