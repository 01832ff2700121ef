//! Regular expressions of filters.
//!
//! A pattern is compiled where it is made, so that one that cannot be used never travels. The
//! engine for them takes time linear in the text and has limits for everything else; what Ganeti's
//! has beyond that (looking around, references back) is refused with the reason.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest pattern. Lower refuses what people write to choose among many names; higher lets the
/// syntax tree of a hostile one grow, which takes some hundred bytes for each of its own.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// Most memory for a compiled pattern, and again for what matching remembers. Lower refuses a few
/// `\w` in a row, whose classes know all of Unicode; higher lets the patterns of one filter take
/// more of the master's memory than everything else that it does.
pub const PATTERN_MEMORY_BYTES_MAX: usize = 512 * 1024;

/// Deepest nesting of groups. Lower refuses nothing that was seen; higher lets reading one recurse
/// as deep as its length allows.
pub const PATTERN_DEPTH_MAX: u32 = 50;

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than [`PATTERN_BYTES_MAX`].
    #[error("it has {0} bytes and may have {PATTERN_BYTES_MAX}")]
    TooLong(usize),
    /// It would take more than [`PATTERN_MEMORY_BYTES_MAX`].
    #[error("it takes more than {PATTERN_MEMORY_BYTES_MAX} bytes of memory")]
    TooLarge,
    /// It is no regular expression.
    #[error("{0}")]
    Syntax(String),
}

/// A regular expression that can be used.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads and compiles one.
    ///
    /// # Errors
    /// When it is none, or beyond a limit.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong(text.len()));
        }
        let compiled = RegexBuilder::new(text)
            .size_limit(PATTERN_MEMORY_BYTES_MAX)
            .dfa_size_limit(PATTERN_MEMORY_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX)
            .build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            other => PatternError::Syntax(reason(&other.to_string())),
        })
    }

    /// A pattern for names in which `*` stands for any characters but dots and `?` for one such;
    /// what it matches may go on after a dot, as names do that are given short.
    ///
    /// # Errors
    /// When it is beyond a limit.
    pub fn of_glob(glob: &str) -> Result<Self, PatternError> {
        let mut text = String::from("^");
        for c in glob.chars() {
            match c {
                '*' => text.push_str("[^.]*"),
                '?' => text.push_str("[^.]"),
                c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        text.push_str(r"(\..*)?$");
        Self::new(&text)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found anywhere in a text.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The sentence in a message that shows the pattern with marks under it.
fn reason(message: &str) -> String {
    let sentence = message.lines().rev().find_map(|line| line.strip_prefix("error: "));
    sentence.unwrap_or(message).to_owned()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text)
            .map_err(|error| de::Error::custom(format_args!("regular expression: {error}")))
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C211
    #[test]
    fn globs_stop_at_dots_and_names_may_go_on() {
        for (glob, name, expected) in [
            ("web*", "web12", true),
            ("web*", "web12.example.com", true),
            ("web*", "db.web1", false),
            ("*.site", "a.site.example", true),
            ("*.site", "a.b.site", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("web?", "web10", false),
            ("a+b", "a+b", true),
            ("a+b", "aab", false),
        ] {
            let pattern = Pattern::of_glob(glob).expect("usable");
            assert_eq!(pattern.is_in(name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn patterns_beyond_a_limit_are_refused() {
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        assert_eq!(Pattern::new(&long), Err(PatternError::TooLong(PATTERN_BYTES_MAX + 1)));
        assert_eq!(Pattern::new(r"(\w{200}){200}"), Err(PatternError::TooLarge));
        let deep = format!("{}a{}", "(".repeat(60), ")".repeat(60));
        assert!(matches!(Pattern::new(&deep), Err(PatternError::Syntax(_))));
        assert!(Pattern::new(r"^\w+\.\w{4}\.\d{1,3}$").is_ok());
    }

    #[test]
    fn what_is_no_regular_expression_is_refused_with_one_line() {
        for text in ["(", "[a", "a{2,1}", r"(?=a)", r"(a)\1", "*"] {
            let Err(PatternError::Syntax(reason)) = Pattern::new(text) else { panic!("{text}") };
            assert!(!reason.contains('\n') && !reason.is_empty(), "{reason}");
        }
        let reason = Pattern::new("(").expect_err("unclosed").to_string();
        assert_eq!(reason, "unclosed group");
    }
}
