//! Whatever a peer sends: nothing panics, nothing is taken for something else.

use super::*;

/// What a reader makes of bytes that come in these pieces: frames, and whether it went out of step.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in pieces {
        reader.extend(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => {
                    let held = reader.buffer.capacity();
                    assert_eq!(held, 0, "bytes are kept after the end of the stream");
                    return (frames, true);
                }
            }
        }
    }
    (frames, false)
}

/// A first byte that says how long the pieces are, then the stream.
#[test]
fn any_bytes_are_the_same_frames_in_any_pieces() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Some((cut, stream)) = bytes.split_first() else { return };
        let whole = read(std::iter::once(stream));
        let pieces = read(stream.chunks(usize::from(*cut) + 1));
        assert_eq!(whole, pieces);
    });
}

/// The length is right, so that what is in the frame is read more often.
#[test]
fn any_frame_that_is_read_is_the_same_when_written_again() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut stream = u32::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
        stream.extend_from_slice(bytes);
        let (frames, _) = read(std::iter::once(stream.as_slice()));
        let mut again = BytesMut::new();
        let mut writer = FrameWriter::new();
        for frame in &frames {
            writer.append(frame, &mut again).expect("what was read can be written");
        }
        assert_eq!(read(std::iter::once(&again[..])), (frames, false));
    });
}
