//! Which levels of the replicated state a program knows.
//!
//! The committed *state level* says which rules and variants may appear in the log; every program
//! knows a range of levels. Values only: what a level means is in `gantry-engine`, who raises it in
//! `gantry-master`, who stops at one that it does not know in `gantry-store`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::NodeUuid;
use crate::names::NodeName;

/// The level of what has always been there.
pub const LEVEL_FIRST: u32 = 1;

/// The level of interfaces that are connected, and of ports of displays.
pub const LEVEL_NETWORK: u32 = 6;

/// The level of disks in files that nodes share.
pub const LEVEL_SHARED_FILES: u32 = 6;

/// The level of what is said of a node when it is added.
pub const LEVEL_NODE_TERMS: u32 = 6;

/// The level of changes of nodes and of the candidate pool.
pub const LEVEL_NODE_CHANGES: u32 = 6;

/// The level of delays that can be cut short.
pub const LEVEL_INTERRUPTIBLE: u32 = 6;

/// The range of levels that a program knows, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Levels {
    /// The oldest: a state below it cannot be applied any more.
    pub lowest: u32,
    /// The newest.
    pub newest: u32,
}

impl Levels {
    /// Whether a state at this level can be applied.
    #[must_use]
    pub const fn knows(self, level: u32) -> bool {
        self.lowest <= level && level <= self.newest
    }
}

/// The level in a row of a table; rows that say nothing have always been there.
pub(crate) const fn since(level: &[u32]) -> u32 {
    match level {
        [level, ..] => *level,
        [] => LEVEL_FIRST,
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.newest {
            write!(f, "{}", self.lowest)
        } else {
            write!(f, "{} to {}", self.lowest, self.newest)
        }
    }
}

/// Where the level of a cluster is, and what keeps it there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LevelStanding {
    /// The committed level.
    pub level: u32,
    /// The newest that any holder of the log has said that it knows; 0 before anybody was asked.
    pub newest: u32,
    /// The holders that keep it from rising further; empty when it is at the newest.
    pub held_by: Vec<LevelHolder>,
}

/// A holder of the log that keeps the level from rising.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelHolder {
    /// Which.
    pub node: NodeUuid,
    /// Its name, where the configuration has it.
    #[serde(default)]
    pub name: Option<NodeName>,
    /// What its program knows; nothing if it did not say: it is off, cannot be reached, has
    /// stopped, or its program is from before this question.
    #[serde(default)]
    pub knows: Option<Levels>,
}

impl fmt::Display for LevelHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "{}", self.node)?,
        }
        match self.knows {
            Some(levels) => write!(f, " (knows {levels})"),
            None => write!(f, " (did not answer)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_its_ends() {
        let levels = Levels { lowest: 2, newest: 4 };
        let known: Vec<u32> = (0..7).filter(|level| levels.knows(*level)).collect();
        assert_eq!(known, [2, 3, 4]);
        assert_eq!(levels.to_string(), "2 to 4");
    }

    #[test]
    fn who_holds_it_back_is_named_with_what_it_knows() {
        let node = NodeUuid(uuid::Uuid::from_u128(7));
        let knows = Some(Levels { lowest: 1, newest: 4 });
        let name = Some(NodeName::new("node2").expect("valid"));
        let old = LevelHolder { node, name, knows };
        assert_eq!(old.to_string(), "node2 (knows 1 to 4)");
        let silent = LevelHolder { node, name: None, knows: None };
        assert_eq!(silent.to_string(), format!("{node} (did not answer)"));
    }
}
