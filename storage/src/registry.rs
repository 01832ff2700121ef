//! The storages of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::objects::DiskTemplate;

use crate::contract::Storage;
use crate::error::StorageError;

/// One storage per template.
#[derive(Clone, Default)]
pub struct StorageRegistry {
    by_template: BTreeMap<DiskTemplate, Arc<dyn Storage>>,
}

impl StorageRegistry {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more; another of the same template is replaced.
    #[must_use]
    pub fn with(mut self, storage: Arc<dyn Storage>) -> Self {
        self.by_template.insert(storage.template(), storage);
        self
    }

    /// The one of this template.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, template: DiskTemplate) -> Result<Arc<dyn Storage>, StorageError> {
        self.by_template.get(&template).cloned().ok_or(StorageError::NotRegistered(template))
    }

    /// All, by template.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Storage>> {
        self.by_template.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let error = StorageRegistry::new().get(DiskTemplate::File).err().expect("empty");
        assert_eq!(error.to_string(), "storage file is not set up on this node");
    }
}
