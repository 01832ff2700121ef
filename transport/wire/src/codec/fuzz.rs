//! Whatever bytes say: nothing panics, and little never becomes much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

/// A message with one of everything that messages are made of.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Message {
    flag: bool,
    number: i64,
    text: String,
    bytes: Bytes,
    list: Vec<Message>,
    map: BTreeMap<String, Message>,
    choice: Option<Choice>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    Number(u32),
    Record { inner: Box<Message> },
}

impl Message {
    /// How many records it is made of.
    fn n_records(&self) -> usize {
        let inner = match &self.choice {
            Some(Choice::Record { inner }) => inner.n_records(),
            _ => 0,
        };
        let listed: usize = self.list.iter().chain(self.map.values()).map(Self::n_records).sum();
        1 + inner + listed
    }
}

#[test]
fn any_bytes_are_refused_or_a_message_that_comes_back() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(message) = decode::<Message>(bytes) else { return };
        // Each record had at least the byte that says how many fields it has.
        assert!(message.n_records() <= bytes.len());
        let again = encode(&message).expect("what was read can be written");
        match decode::<Message>(&again) {
            Ok(same) => assert_eq!(same, message),
            // What was left out is written now, and may be deeper than all that was there.
            Err(error) => assert!(matches!(error, CodecError::TooDeep), "{error}"),
        }
    });
}

#[test]
fn any_bytes_are_refused_or_a_value_within_the_limits() {
    bolero::check!().for_each(|bytes: &[u8]| {
        // What is too deep for the walk would overflow the stack of the decoder.
        if check_shape(bytes).is_ok() {
            let read = rmp_serde::from_slice::<serde::de::IgnoredAny>(bytes);
            assert!(read.is_ok(), "the walk took what the decoder refuses: {read:?}");
        }
    });
}
