//! Parameter sets: hypervisor and backend parameters with cluster defaults and overrides.
//!
//! Each set is declared once by `parameter_set!`, which makes two types: the filled one, and one
//! of overrides where every value may be absent. Row numbers: surface.md part 6 and 8.2.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a parameter cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// No such parameter.
    #[error("unknown parameter {name:?}, known are: {known}")]
    Unknown {
        /// What was given.
        name: String,
        /// All that exist.
        known: String,
    },
    /// Not a value of its type.
    #[error("parameter {name}: {value:?} is not {expected}")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
}

/// A type that a parameter can have.
pub trait ParamValue: Sized {
    /// What is accepted, for messages.
    const EXPECTED: &'static str;
    /// Reads it as it is typed.
    fn from_text(text: &str) -> Option<Self>;
    /// As `info` prints it.
    fn to_text(&self) -> String;
}

impl ParamValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        }
    }
    fn to_text(&self) -> String {
        if *self { "True".into() } else { "False".into() }
    }
}

impl ParamValue for u32 {
    const EXPECTED: &'static str = "a whole number";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl ParamValue for String {
    const EXPECTED: &'static str = "text without control characters";
    fn from_text(text: &str) -> Option<Self> {
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    }
    fn to_text(&self) -> String {
        self.clone()
    }
}

/// Declares a parameter set: `parameter_set! { /// doc struct Filled / Overrides { /// doc
/// name: Type = default, … } }` makes `Filled` (with `Default`, `KEYS`, `rows`) and `Overrides`
/// (with `set`, `over`, `rows`).
macro_rules! parameter_set {
    ($(#[$doc:meta])* $filled:ident / $over:ident {
        $($(#[$fdoc:meta])* $field:ident: $ty:ty = $default:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct $filled { $($(#[$fdoc])* pub $field: $ty,)* }

        impl Default for $filled {
            fn default() -> Self { Self { $($field: $default.into(),)* } }
        }

        impl $filled {
            /// Names of all parameters.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Names and values, in order of declaration.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), ParamValue::to_text(&self.$field)),)*]
            }
        }

        /// What differs from the defaults.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct $over { $($(#[$fdoc])* pub $field: Option<$ty>,)* }

        impl $over {
            /// Sets one parameter from text.
            ///
            /// # Errors
            /// When there is no such parameter, or the text is not of its type.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), ParamError> {
                match name {
                    $(stringify!($field) => {
                        let value = <$ty as ParamValue>::from_text(text).ok_or_else(|| {
                            ParamError::BadValue {
                                name: stringify!($field),
                                value: text.to_owned(),
                                expected: <$ty as ParamValue>::EXPECTED,
                            }
                        })?;
                        self.$field = Some(value);
                        Ok(())
                    })*
                    _ => Err(ParamError::Unknown {
                        name: name.to_owned(),
                        known: $filled::KEYS.join(", "),
                    }),
                }
            }

            /// The defaults with these overrides.
            #[must_use]
            pub fn over(&self, defaults: &$filled) -> $filled {
                $filled {
                    $($field: self.$field.clone().unwrap_or_else(|| defaults.$field.clone()),)*
                }
            }

            /// Names and values that are set.
            #[must_use]
            pub fn rows(&self) -> BTreeMap<&'static str, String> {
                let mut rows = BTreeMap::new();
                $(if let Some(value) = &self.$field {
                    rows.insert(stringify!($field), ParamValue::to_text(value));
                })*
                rows
            }
        }
    };
}

parameter_set! {
    /// Parameters of the kvm hypervisor (surface.md 6.1). Those that later work needs are added
    /// with it.
    KvmParams / KvmOverrides {
        /// The guest sees ACPI; without it a shutdown cannot be requested.
        acpi: bool = true,
        /// What to boot: `disk`, `cdrom`, `floppy` or `network`.
        boot_order: String = "disk",
        /// How disks appear in the guest: `paravirtual` (virtio) or `ide`.
        disk_type: String = "paravirtual",
        /// Initial RAM disk beside `kernel_path`.
        initrd_path: String = "",
        /// Command line of the kernel at `kernel_path`.
        kernel_args: String = "ro",
        /// Kernel on the node to boot; empty boots from `boot_order`.
        kernel_path: String = "",
        /// The QEMU program.
        kvm_path: String = "/usr/bin/qemu-system-x86_64",
        /// `-machine` of QEMU; empty is QEMU's default.
        machine_version: String = "",
        /// A serial console on a socket.
        serial_console: bool = true,
    }
}

parameter_set! {
    /// Parameters of the fake hypervisor.
    FakeParams / FakeOverrides {
        /// `live` or `non-live`.
        migration_mode: String = "live",
    }
}

parameter_set! {
    /// Backend parameters: what a guest gets whatever runs it (surface.md 8.2).
    BackendParams / BackendOverrides {
        /// Never migrate, always fail over.
        always_failover: bool = false,
        /// May be moved when the cluster is balanced.
        auto_balance: bool = true,
        /// Memory at start, MiB.
        maxmem: u32 = 128u32,
        /// Memory it can be ballooned down to, MiB.
        minmem: u32 = 128u32,
        /// Spindles it is counted for.
        spindle_use: u32 = 1u32,
        /// Virtual CPUs.
        vcpus: u32 = 1u32,
    }
}

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
    /// Under kvm.
    Kvm(KvmParams),
    /// Under fake.
    Fake(FakeParams),
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
    /// When there is no such parameter, or the text is not of its type.
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
            Self::Kvm(over) => HvParams::Kvm(over.over(&defaults.kvm)),
            Self::Fake(over) => HvParams::Fake(over.over(&defaults.fake)),
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
        match self {
            Self::Kvm(params) => params.rows(),
            Self::Fake(params) => params.rows(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_win_over_defaults_and_nothing_else_changes() {
        let mut over = BackendOverrides::default();
        over.set("maxmem", "512").expect("valid");
        let filled = over.over(&BackendParams::default());
        assert_eq!(filled.maxmem, 512);
        assert_eq!(filled.vcpus, BackendParams::default().vcpus);
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let error = KvmOverrides::default().set("acpy", "true").expect_err("unknown");
        assert!(error.to_string().contains("acpi"), "{error}");
    }

    #[test]
    fn a_wrong_type_names_the_parameter() {
        let error = BackendOverrides::default().set("vcpus", "-1").expect_err("negative");
        assert_eq!(error.to_string(), "parameter vcpus: \"-1\" is not a whole number");
    }
}
