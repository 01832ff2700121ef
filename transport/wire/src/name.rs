//! The wire name of a message, as an envelope carries it.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest wire name, in bytes. Names are constants of programs, the longest of ours has under 40.
/// Lower would forbid honest names, higher would let a hostile peer fill tables and logs.
pub const WIRE_NAME_BYTES_MAX: usize = 100;

/// A wire name: a constant of this program, or text that a peer has sent. Cloning copies no text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WireName(Text);

#[derive(Clone)]
enum Text {
    Known(&'static str),
    Told(Arc<str>),
}

impl WireName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Known(text) => text,
            Text::Told(text) => text,
        }
    }
}

impl Deref for WireName {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for WireName {
    fn from(text: &'static str) -> Self {
        Self(Text::Known(text))
    }
}

impl From<String> for WireName {
    fn from(text: String) -> Self {
        Self(Text::Told(text.into()))
    }
}

impl From<WireName> for String {
    fn from(name: WireName) -> Self {
        name.as_str().to_owned()
    }
}

impl std::fmt::Display for WireName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

impl std::fmt::Debug for WireName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for WireName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for WireName {}

impl PartialOrd for WireName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WireName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl JsonSchema for WireName {
    fn schema_name() -> Cow<'static, str> {
        "WireName".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_by_text_wherever_they_come_from() {
        let (known, told) = (WireName::from("job.submit"), WireName::from("job.submit".to_owned()));
        assert_eq!(known, told);
        let bytes = crate::encode(&known).expect("encodes");
        assert_eq!(crate::decode::<WireName>(&bytes).expect("decodes"), told);
    }
}
