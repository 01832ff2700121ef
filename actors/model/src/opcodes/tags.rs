//! Opcodes on tags (S197).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};
use crate::tags::TagObject;

/// Adds tags to an object (O64). Those that it has already are fine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TagsSet {
    /// Whose.
    #[serde(flatten)]
    pub object: TagObject,
    /// Which.
    pub tags: Vec<String>,
}

/// Removes tags of an object (O65). It must have them all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TagsDel {
    /// Whose.
    #[serde(flatten)]
    pub object: TagObject,
    /// Which.
    pub tags: Vec<String>,
}

impl Parameters for TagsSet {
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}
impl Parameters for TagsDel {
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}
