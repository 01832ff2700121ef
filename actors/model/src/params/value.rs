//! Values of parameters: their types, which ones are accepted, why one is not.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::cpu_mask::CpuMask;

/// Longest text of a parameter. Kernel command lines end at 2,048 bytes; lower would refuse such,
/// higher lets one parameter fill the log.
pub const PARAM_TEXT_BYTES_MAX: usize = 4_096;

/// Longest name of a network interface, which may stand for its address (netdevice(7)).
const INTERFACE_BYTES_MAX: usize = 15;

/// Why a parameter cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// No such parameter.
    #[error("Unknown parameter '{name}', known are: {known}")]
    Unknown {
        /// What was given.
        name: String,
        /// All that exist.
        known: String,
    },
    /// Not a value of its type.
    #[error("'{name}' (value {value}) is not {expected}")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// Does not go together with another one.
    #[error("parameter {name}: {value:?} {conflict}")]
    Conflict {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// With what it does not go together, and what would.
        conflict: String,
    },
}

/// Which values a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// On or off.
    Flag,
    /// A whole number between these, both included.
    Number(u32, u32),
    /// One of these numbers.
    NumberOf(&'static [u32]),
    /// One of these words; an empty one is nothing.
    Word(&'static [&'static str]),
    /// Text without control characters.
    Text,
    /// A value of one of QEMU's options: no blanks.
    Token,
    /// An absolute path, or nothing.
    Path,
    /// An absolute path.
    PathNeeded,
    /// An absolute path, a URL that QEMU reads from, or nothing.
    PathOrUrl,
    /// Where to listen: an address, an interface, a directory for a socket, or nothing.
    Listen,
    /// Processors of the node for each virtual one.
    CpuMask,
}

/// Any whole number.
pub(super) const ANY_NUMBER: ParamKind = ParamKind::Number(0, u32::MAX);

impl ParamKind {
    /// What is accepted, for people.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "a valid boolean, which is true or false".into(),
            ANY_NUMBER => "a valid integer from 0 on".into(),
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::NumberOf(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                format!("one of {}", numbers.join(", "))
            }
            Self::Word(words) => {
                let some: Vec<&str> = words.iter().copied().filter(|w| !w.is_empty()).collect();
                let or_nothing = if some.len() < words.len() { ", or nothing" } else { "" };
                format!("one of {}{or_nothing}", some.join(", "))
            }
            Self::Text => {
                format!("text without control characters of at most {PARAM_TEXT_BYTES_MAX} bytes")
            }
            Self::Token => "a word without blanks, or nothing".into(),
            Self::Path => "an absolute path without . and .., or nothing".into(),
            Self::PathNeeded => "an absolute path without . and ..".into(),
            Self::PathOrUrl => "an absolute path, an http, https or ftp URL, or nothing".into(),
            Self::Listen => {
                "an IP address, the name of an interface, an absolute directory, or nothing".into()
            }
            Self::CpuMask => {
                "all, or lists such as 0-2,5, one for the guest or one per virtual CPU with colons \
                 between them"
                    .into()
            }
        }
    }

    /// Whether a text is accepted by a parameter of this kind that holds text.
    fn takes_text(self, text: &str) -> bool {
        if text.len() > PARAM_TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return false;
        }
        match self {
            Self::Flag | Self::Number(..) | Self::NumberOf(_) => false,
            Self::Word(words) => words.contains(&text),
            Self::Text => true,
            Self::Token => !text.contains(char::is_whitespace),
            Self::Path => text.is_empty() || is_plain_path(text),
            Self::PathNeeded => is_plain_path(text),
            Self::PathOrUrl => text.is_empty() || is_plain_path(text) || is_url(text),
            Self::Listen => text.is_empty() || is_listen(text),
            Self::CpuMask => CpuMask::parse(text).is_ok(),
        }
    }

    /// Whether a value is accepted.
    #[must_use]
    pub fn takes(self, value: ParamRef<'_>) -> bool {
        match (self, value) {
            (Self::Flag, ParamRef::Flag(_)) => true,
            (Self::Number(least, most), ParamRef::Number(n)) => (least..=most).contains(&n),
            (Self::NumberOf(numbers), ParamRef::Number(n)) => numbers.contains(&n),
            (kind, ParamRef::Text(text)) => kind.takes_text(text),
            (_, ParamRef::Flag(_) | ParamRef::Number(_)) => false,
        }
    }

    /// Reads a value as it is typed.
    #[must_use]
    pub fn read(self, text: &str) -> Option<ParamValue> {
        let value = match self {
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" => ParamValue::Flag(true),
                "false" | "no" => ParamValue::Flag(false),
                _ => return None,
            },
            Self::Number(..) | Self::NumberOf(_) => ParamValue::Number(text.parse().ok()?),
            _ => ParamValue::Text(text.into()),
        };
        self.takes(value.as_ref()).then_some(value)
    }
}

/// Whether a path is absolute and has nothing in it that could lead elsewhere.
#[must_use]
pub fn is_plain_path(text: &str) -> bool {
    let mut names = text.split('/');
    text.len() > 1 && names.next() == Some("") && names.all(|name| !matches!(name, "" | "." | ".."))
}

/// Whether a text is a URL that QEMU can read an image from.
#[must_use]
pub fn is_url(text: &str) -> bool {
    ["http://", "https://", "ftp://"]
        .into_iter()
        .filter_map(|scheme| text.strip_prefix(scheme))
        .any(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Whether a text can be the name of a network interface of a node.
#[must_use]
pub fn is_interface(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    !text.is_empty()
        && text.len() <= INTERFACE_BYTES_MAX
        && !text.starts_with(['-', '.'])
        && text.chars().all(plain)
}

fn is_listen(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_plain_path(text) || is_interface(text)
}

/// A value, owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ParamValue {
    /// Of a flag.
    Flag(bool),
    /// Of a number.
    Number(u32),
    /// Of anything else.
    Text(Box<str>),
}

impl ParamValue {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> ParamRef<'_> {
        match self {
            Self::Flag(value) => ParamRef::Flag(*value),
            Self::Number(value) => ParamRef::Number(*value),
            Self::Text(value) => ParamRef::Text(value),
        }
    }
}

/// A value, borrowed. Encoded as the bare value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamRef<'a> {
    /// Of a flag.
    Flag(bool),
    /// Of a number.
    Number(u32),
    /// Of anything else.
    Text(&'a str),
}

impl ParamRef<'_> {
    /// As `info` prints it.
    #[must_use]
    pub fn to_text(self) -> String {
        match self {
            Self::Flag(true) => "True".into(),
            Self::Flag(false) => "False".into(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.into(),
        }
    }

    /// The same, owned.
    #[must_use]
    pub fn to_value(self) -> ParamValue {
        match self {
            Self::Flag(value) => ParamValue::Flag(value),
            Self::Number(value) => ParamValue::Number(value),
            Self::Text(value) => ParamValue::Text(value.into()),
        }
    }
}

impl Serialize for ParamRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(value) => serializer.serialize_bool(*value),
            Self::Number(value) => serializer.serialize_u32(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// A type that a field of a parameter set can have.
pub trait ParamType: Sized {
    /// Its value.
    fn as_param(&self) -> ParamRef<'_>;
    /// From a value, if that is of this type.
    fn from_param(value: ParamRef<'_>) -> Option<Self>;
}

macro_rules! param_types {
    ($($ty:ty = $variant:ident, $field:ident => $from:expr, $value:ident => $into:expr;)*) => { $(
        impl ParamType for $ty {
            fn as_param(&self) -> ParamRef<'_> {
                let $field = self;
                ParamRef::$variant($from)
            }
            fn from_param(value: ParamRef<'_>) -> Option<Self> {
                match value {
                    ParamRef::$variant($value) => Some($into),
                    _ => None,
                }
            }
        }
    )* };
}

param_types! {
    bool = Flag, field => *field, value => value;
    u32 = Number, field => *field, value => value;
    String = Text, field => field, value => value.to_owned();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(kind: ParamKind, texts: &[&str]) -> Vec<bool> {
        texts.iter().map(|text| kind.read(text).is_some()).collect()
    }

    #[test]
    fn numbers_have_bounds() {
        let kind = ParamKind::Number(1, 8);
        assert_eq!(
            reads(kind, &["1", "8", "0", "9", "-1", "x", ""]),
            [true, true, false, false, false, false, false]
        );
        assert_eq!(kind.expected(), "a whole number from 1 to 8");
    }

    #[test]
    fn words_are_those_of_the_list() {
        let kind = ParamKind::Word(&["", "mouse", "tablet"]);
        assert_eq!(reads(kind, &["", "mouse", "Mouse", "x"]), [true, true, false, false]);
        assert_eq!(kind.expected(), "one of mouse, tablet, or nothing");
    }

    #[test]
    fn paths_lead_nowhere_else() {
        let texts = ["", "/a/b", "a/b", "/a/../b", "/", "/a//b", "/a\n"];
        assert_eq!(reads(ParamKind::Path, &texts), [true, true, false, false, false, false, false]);
        assert!(!reads(ParamKind::PathNeeded, &[""])[0]);
        let urls = ["https://x/y.iso", "http://", "file:///x", "/x.iso"];
        assert_eq!(reads(ParamKind::PathOrUrl, &urls), [true, false, false, true]);
    }

    #[test]
    fn listening_is_on_addresses_interfaces_and_directories() {
        let texts = ["0.0.0.0", "::1", "eth0", "/run/vnc", "", "a b", "averylonginterface"];
        assert_eq!(reads(ParamKind::Listen, &texts), [true, true, true, true, true, false, false]);
    }

    #[test]
    fn text_has_neither_control_characters_nor_endless_length() {
        let long = "x".repeat(PARAM_TEXT_BYTES_MAX + 1);
        let texts = ["", "ro quiet", "a\u{1b}b", long.as_str()];
        assert_eq!(reads(ParamKind::Text, &texts), [true, true, false, false]);
        assert_eq!(reads(ParamKind::Token, &["host,+vmx", "a b"]), [true, false]);
    }
}
