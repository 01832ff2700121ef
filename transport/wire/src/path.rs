//! Paths of actors: `/cluster`, `/node/<uuid>`, `/instance/<uuid>/disk/0`.

use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest path, in bytes. A path is logged with each message and kept in each flight recorder; the
/// longest real one is under 60 bytes. Lower would forbid nested entities, higher would let a
/// hostile peer fill logs.
pub const PATH_BYTES_MAX: usize = 200;

/// The address of an actor inside a cluster; does not say on which node it lives.
///
/// Segments are lowercase letters, digits, `-`, `_` and `.`; at least one, at most
/// [`PATH_BYTES_MAX`] bytes in all. Cloning is cheap.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ActorPath(Arc<str>);

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid actor path {path:?}: {reason}")]
pub struct PathError {
    /// The text, cut to the limit.
    pub path: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl ActorPath {
    /// Checks and makes a path.
    ///
    /// # Errors
    /// When it does not start with `/`, has an empty segment, another character, or is too long.
    pub fn new(path: &str) -> Result<Self, PathError> {
        let refuse = |reason| {
            let shown = path.chars().take(PATH_BYTES_MAX).collect();
            Err(PathError { path: shown, reason })
        };
        if path.len() > PATH_BYTES_MAX {
            return refuse("too long");
        }
        let Some(rest) = path.strip_prefix('/') else {
            return refuse("must start with /");
        };
        for segment in rest.split('/') {
            if segment.is_empty() {
                return refuse("empty segment");
            }
            if !segment
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
            {
                return refuse("only a-z, 0-9, '-', '_', '.' and '/' are allowed");
            }
        }
        Ok(Self(path.into()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, without the slashes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }

    /// The first segment: the kind of actor.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.segments().next().unwrap_or_default()
    }
}

impl FromStr for ActorPath {
    type Err = PathError;
    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::new(path)
    }
}

impl TryFrom<String> for ActorPath {
    type Error = PathError;
    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(&path)
    }
}

impl From<ActorPath> for String {
    fn from(path: ActorPath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl std::fmt::Display for ActorPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_paths_of_the_design() {
        for path in ["/cluster", "/job/17", "/instance/0b5e-11/disk/0", "/node/a.b_c"] {
            assert_eq!(ActorPath::new(path).map(String::from).as_deref(), Ok(path));
        }
    }

    #[test]
    fn refuses_other_shapes() {
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for path in ["", "cluster", "/", "//", "/a/", "/A", "/a b", "/ä", long.as_str()] {
            assert!(ActorPath::new(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn kind_is_the_first_segment() {
        let path = ActorPath::new("/instance/7/disk/0").expect("valid");
        assert_eq!(path.kind(), "instance");
        assert_eq!(path.segments().collect::<Vec<_>>(), ["instance", "7", "disk", "0"]);
    }
}
