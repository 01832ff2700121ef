//! Tags: short texts on objects, of which the cluster keeps a sorted list each (rows S40, S197,
//! S198). What may be a tag is checked here, for opcodes and for commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{GroupUuid, InstanceUuid, NodeUuid};
use crate::names::{GroupName, InstanceName, NodeName};

/// Longest tag (S198). Lower refuses what clusters that come from Ganeti have; higher makes lists
/// that nobody can read.
pub const TAG_BYTES_MAX: usize = 128;

/// Most tags of one object (S198). Lower refuses what Ganeti takes; higher makes an object, which
/// is copied with every change of it, larger than half a MiB.
pub const TAGS_MAX: usize = 4096;

/// What a tag may have beside letters and digits.
const PUNCTUATION: &[u8] = b".+*/:@-_";

/// Why a text is no tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// There is nothing.
    #[error("tags cannot be empty")]
    Empty,
    /// Longer than [`TAG_BYTES_MAX`].
    #[error("tag '{start}...' is too long: it has {length} characters, at most {TAG_BYTES_MAX}")]
    TooLong {
        /// Its beginning.
        start: String,
        /// Its length.
        length: usize,
    },
    /// It has something else than letters, digits and some signs.
    #[error("tag {0:?} contains invalid characters, allowed are letters, digits and .+*/:@-_")]
    Characters(String),
    /// An object would have more than [`TAGS_MAX`].
    #[error("too many tags: there would be {0}, at most {TAGS_MAX}")]
    TooMany(usize),
}

/// Checks one tag.
///
/// # Errors
/// When the text is none.
pub fn check_tag(tag: &str) -> Result<(), TagError> {
    if tag.is_empty() {
        return Err(TagError::Empty);
    }
    let length = tag.chars().count();
    if length > TAG_BYTES_MAX {
        return Err(TagError::TooLong { start: tag.chars().take(20).collect(), length });
    }
    if !tag.bytes().all(|b| b.is_ascii_alphanumeric() || PUNCTUATION.contains(&b)) {
        return Err(TagError::Characters(tag.to_owned()));
    }
    Ok(())
}

/// Checks the tags of one object.
///
/// # Errors
/// When one is none, or there are too many.
pub fn check_tags(tags: &[String]) -> Result<(), TagError> {
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    if tags.len() > TAGS_MAX {
        return Err(TagError::TooMany(tags.len()));
    }
    Ok(())
}

/// Whose tags are meant, as an opcode says it: `kind` and `name` (O111). Networks come with
/// networks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum TagObject {
    /// The cluster's.
    Cluster,
    /// Those of a node.
    Node(NodeName),
    /// Those of a node group.
    Nodegroup(GroupName),
    /// Those of an instance.
    Instance(InstanceName),
}

impl std::fmt::Display for TagObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cluster => f.pad("the cluster"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Nodegroup(name) => write!(f, "node group {name}"),
            Self::Instance(name) => write!(f, "instance {name}"),
        }
    }
}

/// Whose tags change, as the log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tagged {
    /// The cluster's.
    Cluster,
    /// Those of a node.
    Node(NodeUuid),
    /// Those of a node group.
    Nodegroup(GroupUuid),
    /// Those of an instance.
    Instance(InstanceUuid),
}

/// Tags in the order in which objects have them, each once.
#[must_use]
pub fn sorted_tags(tags: &[String]) -> Vec<String> {
    let mut sorted = tags.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted
}

/// Tags with some more and some fewer, sorted. What is there already, or gone already, changes
/// nothing.
///
/// # Errors
/// When there would be too many.
pub fn changed_tags(
    tags: &[String],
    add: &[String],
    remove: &[String],
) -> Result<Vec<String>, TagError> {
    let mut changed = sorted_tags(&[tags, add].concat());
    changed.retain(|tag| !remove.contains(tag));
    match changed.len() {
        n_tags if n_tags > TAGS_MAX => Err(TagError::TooMany(n_tags)),
        _ => Ok(changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: S198
    #[test]
    fn what_may_be_a_tag() {
        let longest = "x".repeat(TAG_BYTES_MAX);
        for good in ["a", "owner:user2", "a.b+c*d/e:f@g-h_i", "1", longest.as_str()] {
            assert_eq!(check_tag(good), Ok(()), "{good}");
        }
        let longer = "x".repeat(TAG_BYTES_MAX + 1);
        for bad in ["", " ", "a b", "a,b", "ä", "a\n", "#", longer.as_str()] {
            assert!(check_tag(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_sorted_and_each_is_there_once() {
        let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let changed = changed_tags(&texts(&["b"]), &texts(&["c", "a", "a", "b"]), &texts(&["c"]));
        assert_eq!(changed, Ok(texts(&["a", "b"])));
    }

    // covers: S198
    #[test]
    fn there_are_at_most_so_many() {
        let many: Vec<String> = (0..TAGS_MAX).map(|n| format!("t{n}")).collect();
        assert_eq!(changed_tags(&many, &["t0".to_owned()], &[]).map(|t| t.len()), Ok(TAGS_MAX));
        let one_more = changed_tags(&many, &["x".to_owned()], &[]);
        assert_eq!(one_more, Err(TagError::TooMany(TAGS_MAX + 1)));
    }

    #[test]
    fn an_object_is_said_as_ganeti_says_it() {
        let object = TagObject::Instance(InstanceName::new("web1").expect("valid"));
        let json = serde_json::to_value(&object).expect("encodes");
        assert_eq!(json, serde_json::json!({"kind": "instance", "name": "web1"}));
        let cluster = serde_json::json!({"kind": "cluster", "name": null});
        assert_eq!(serde_json::from_value(cluster).ok(), Some(TagObject::Cluster));
    }
}
