//! The hypervisors of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::params::HypervisorKind;

use crate::contract::Hypervisor;
use crate::error::HvError;

/// One hypervisor per kind.
#[derive(Clone, Default)]
pub struct HypervisorRegistry {
    by_kind: BTreeMap<HypervisorKind, Arc<dyn Hypervisor>>,
}

impl HypervisorRegistry {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more; another of the same kind is replaced.
    #[must_use]
    pub fn with(mut self, hypervisor: Arc<dyn Hypervisor>) -> Self {
        self.by_kind.insert(hypervisor.kind(), hypervisor);
        self
    }

    /// The one of this kind.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, kind: HypervisorKind) -> Result<Arc<dyn Hypervisor>, HvError> {
        self.by_kind.get(&kind).cloned().ok_or(HvError::NotRegistered(kind))
    }

    /// All, by kind.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Hypervisor>> {
        self.by_kind.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let error = HypervisorRegistry::new().get(HypervisorKind::Kvm).err().expect("empty");
        assert_eq!(error.to_string(), "hypervisor kvm is not set up on this node");
    }
}
