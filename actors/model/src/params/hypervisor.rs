//! The hypervisors, and the parameters of each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kvm::{FakeParams, KvmParams};
use super::set::{Overrides, ParamSpec, ParameterSet};
use super::value::{ParamError, ParamRef};

/// In what an instance under kvm differs from the cluster's defaults.
pub type KvmOverrides = Overrides<KvmParams>;

/// In what an instance under fake differs from the cluster's defaults.
pub type FakeOverrides = Overrides<FakeParams>;

/// The hypervisors.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HypervisorKind {
    /// QEMU, accelerated by KVM where that works.
    Kvm,
    /// A hypervisor of files, for tests.
    Fake,
}

impl HypervisorKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Fake];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Fake => "fake",
        }
    }

    /// From Ganeti's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Its parameters.
    #[must_use]
    pub fn specs(self) -> &'static [ParamSpec] {
        match self {
            Self::Kvm => KvmParams::SPECS,
            Self::Fake => FakeParams::SPECS,
        }
    }
}

impl std::fmt::Display for HypervisorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Cluster-wide defaults of every hypervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HypervisorDefaults {
    /// Of kvm.
    pub kvm: KvmParams,
    /// Of fake.
    pub fake: FakeParams,
}

/// Overrides of one instance, for its hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HvOverrides {
    /// It runs under kvm.
    Kvm(KvmOverrides),
    /// It runs under fake.
    Fake(FakeOverrides),
}

/// The parameters that a guest runs with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HvParams {
    /// Under kvm. Over a kilobyte, which guests of other hypervisors need not have.
    Kvm(Box<KvmParams>),
    /// Under fake.
    Fake(FakeParams),
}

impl From<KvmParams> for HvParams {
    fn from(params: KvmParams) -> Self {
        Self::Kvm(Box::new(params))
    }
}

impl From<FakeParams> for HvParams {
    fn from(params: FakeParams) -> Self {
        Self::Fake(params)
    }
}

impl HvOverrides {
    /// No overrides.
    #[must_use]
    pub fn none(kind: HypervisorKind) -> Self {
        match kind {
            HypervisorKind::Kvm => Self::Kvm(KvmOverrides::default()),
            HypervisorKind::Fake => Self::Fake(FakeOverrides::default()),
        }
    }

    /// Which hypervisor.
    #[must_use]
    pub fn kind(&self) -> HypervisorKind {
        match self {
            Self::Kvm(_) => HypervisorKind::Kvm,
            Self::Fake(_) => HypervisorKind::Fake,
        }
    }

    /// Sets one parameter from text.
    ///
    /// # Errors
    /// When there is no such parameter, or it does not accept the text.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ParamError> {
        match self {
            Self::Kvm(over) => over.set(name, text),
            Self::Fake(over) => over.set(name, text),
        }
    }

    /// The defaults with these overrides.
    #[must_use]
    pub fn over(&self, defaults: &HypervisorDefaults) -> HvParams {
        match self {
            Self::Kvm(over) => over.over(&defaults.kvm).into(),
            Self::Fake(over) => over.over(&defaults.fake).into(),
        }
    }

    /// Names and values that are set.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<&'static str, String> {
        match self {
            Self::Kvm(over) => over.rows(),
            Self::Fake(over) => over.rows(),
        }
    }

    /// The values that are set.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, ParamRef<'_>)> {
        match self {
            Self::Kvm(over) => over.iter().map(|(spec, value)| (spec.name, value)).collect(),
            Self::Fake(over) => over.iter().map(|(spec, value)| (spec.name, value)).collect(),
        }
    }

    /// One value, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ParamRef<'_>> {
        match self {
            Self::Kvm(over) => over.get(name),
            Self::Fake(over) => over.get(name),
        }
    }

    /// From which state level on they may appear in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Kvm(over) => over.level(),
            Self::Fake(over) => over.level(),
        }
    }

    /// Whether each value is one that its parameter accepts: what was not typed but sent.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_values(&self) -> Result<(), ParamError> {
        match self {
            Self::Kvm(over) => over.check_values(),
            Self::Fake(over) => over.check_values(),
        }
    }
}

impl HypervisorDefaults {
    /// The values of one hypervisor's parameters.
    #[must_use]
    pub fn values(&self, kind: HypervisorKind) -> Vec<(&'static str, ParamRef<'_>)> {
        match kind {
            HypervisorKind::Kvm => named(&self.kvm),
            HypervisorKind::Fake => named(&self.fake),
        }
    }
}

fn named<P: ParameterSet>(params: &P) -> Vec<(&'static str, ParamRef<'_>)> {
    P::SPECS.iter().map(|spec| spec.name).zip(params.values()).collect()
}

impl HvParams {
    /// Which hypervisor.
    #[must_use]
    pub fn kind(&self) -> HypervisorKind {
        match self {
            Self::Kvm(_) => HypervisorKind::Kvm,
            Self::Fake(_) => HypervisorKind::Fake,
        }
    }

    /// Names and values, in order.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        self.values().into_iter().map(|(name, value)| (name, value.to_text())).collect()
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, ParamRef<'_>)> {
        match self {
            Self::Kvm(params) => named(params.as_ref()),
            Self::Fake(params) => named(params),
        }
    }

    /// From which state level on they may appear in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        match self {
            Self::Kvm(params) => params.level(),
            Self::Fake(params) => params.level(),
        }
    }

    /// Checks each value by itself and all of them together.
    ///
    /// # Errors
    /// Names the first parameter that is wrong, its value, and what would be right.
    pub fn check(&self, vcpus: u32) -> Result<(), ParamError> {
        match self {
            Self::Kvm(params) => params.check(Some(vcpus)),
            Self::Fake(params) => params.check_values(),
        }
    }
}
