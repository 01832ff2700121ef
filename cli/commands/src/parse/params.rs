//! Parameters as typed into overrides: `-H kvm:acpi=false`, `-B maxmem=1G,vcpus=2`.

use std::collections::BTreeMap;

use gantry_model::params::{
    BackendOverrides, BackendParams, HvOverrides, HypervisorKind, KvmParams, ParamError, ParamKind,
    ParamRef, ParamSpec, ParameterSet,
};
use gantry_model::units::MiB;

use super::ParseError;
use super::keyval::{KeyValue, KeyValues};
use super::size::parse_size;
use super::template::is_later_hypervisor;

/// The word that leaves a parameter at its default (C201).
const DEFAULT: &str = "default";

/// The word that empties a parameter that names a place (C201).
const NONE: &str = "none";

/// Why parameters cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The model refuses one.
    #[error("cannot set a parameter")]
    Param(#[source] ParamError),
    /// A value that is no size.
    #[error("'{name}' (value {}) is not a valid size", source.given)]
    Size {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// No such hypervisor.
    #[error("unknown hypervisor {name:?}, known are: {known}")]
    Hypervisor {
        /// What was given.
        name: String,
        /// All there are.
        known: String,
    },
    /// One of Ganeti's that comes with later work.
    #[error("hypervisor {name} is not available yet, there are: {known}")]
    LaterHypervisor {
        /// What was given.
        name: String,
        /// All there are.
        known: String,
    },
    /// A name alone, of a parameter that is neither on nor off.
    #[error("parameter {0} needs a value: {0}=VALUE")]
    NoValue(String),
    /// Nothing to take away.
    #[error("parameter {0} cannot be removed from something that is being created")]
    Removed(String),
}

/// Backend parameters. `memory` sets `minmem` and `maxmem`; memory is a size with a unit.
///
/// # Errors
/// When a name or a value is none that backend parameters have.
pub fn backend_overrides(pairs: &KeyValues) -> Result<BackendOverrides, ParamsError> {
    let mut overrides = BackendOverrides::default();
    for (name, value) in pairs {
        // What stands for both bounds is of their kind.
        let known = if name == "memory" { "maxmem" } else { name };
        let Some(text) = text_of(BackendParams::SPECS, known, value)? else { continue };
        set_backend(&mut overrides, name, &text)?;
    }
    Ok(overrides)
}

fn set_backend(
    overrides: &mut BackendOverrides,
    name: &str,
    text: &str,
) -> Result<(), ParamsError> {
    let memory = || match parse_size(text) {
        Ok(MiB(mib)) if u32::try_from(mib).is_ok() => Ok(mib.to_string()),
        Ok(_) => Err(ParseError::new("size", text, "less than 4096T")),
        Err(error) => Err(error),
    };
    let memory = || memory().map_err(|source| ParamsError::Size { name: name.to_owned(), source });
    let mut set = |name: &str, text: &str| overrides.set(name, text).map_err(ParamsError::Param);
    match name {
        "memory" => {
            let size = memory()?;
            set("minmem", &size)?;
            set("maxmem", &size)
        }
        "minmem" | "maxmem" => set(name, &memory()?),
        _ => set(name, text),
    }
}

/// Hypervisor parameters: which hypervisor, and how it differs.
///
/// # Errors
/// When the hypervisor, a name or a value is none that exists.
pub fn hypervisor_overrides(name: &str, pairs: &KeyValues) -> Result<HvOverrides, ParamsError> {
    let kind = hypervisor(name)?;
    let mut overrides = HvOverrides::none(kind);
    for (name, value) in pairs {
        if let Some(text) = text_of(kind.specs(), name, value)? {
            overrides.set(name, &text).map_err(ParamsError::Param)?;
        }
    }
    Ok(overrides)
}

/// A hypervisor by its word.
///
/// # Errors
/// When there is no such hypervisor.
pub fn hypervisor(name: &str) -> Result<HypervisorKind, ParamsError> {
    HypervisorKind::from_word(name).ok_or_else(|| {
        let known = HypervisorKind::ALL.map(HypervisorKind::as_str).join(", ");
        let name = name.to_owned();
        match is_later_hypervisor(&name) {
            true => ParamsError::LaterHypervisor { name, known },
            false => ParamsError::Hypervisor { name, known },
        }
    })
}

/// The value as text; `None` where the default is wanted. A name alone is a flag that is on, and a
/// name with `no_` one that is off, or a text that is empty.
fn text_of(
    specs: &[ParamSpec],
    name: &str,
    value: &KeyValue,
) -> Result<Option<String>, ParamsError> {
    let kind = specs.iter().find(|spec| spec.name == name).map(|spec| spec.kind);
    let may_be_nothing = kind.is_some_and(|kind| kind.takes(ParamRef::Text("")));
    match value {
        KeyValue::Text(text) if text == DEFAULT => Ok(None),
        KeyValue::Text(text) if text == NONE && kind.is_some_and(is_a_place) => {
            Ok(Some(String::new()))
        }
        KeyValue::Text(text) => Ok(Some(text.clone())),
        // An unknown name is refused as such by whoever sets it.
        KeyValue::True if kind.is_none_or(|kind| kind == ParamKind::Flag) => {
            Ok(Some("true".to_owned()))
        }
        KeyValue::False if kind.is_none_or(|kind| kind == ParamKind::Flag) => {
            Ok(Some("false".to_owned()))
        }
        KeyValue::False if may_be_nothing => Ok(Some(String::new())),
        KeyValue::True | KeyValue::False => Err(ParamsError::NoValue(name.to_owned())),
        KeyValue::Removed => Err(ParamsError::Removed(name.to_owned())),
    }
}

/// Whether `none` is nothing. Of other texts it may be a value: a graphics card is `none`, too.
fn is_a_place(kind: ParamKind) -> bool {
    matches!(kind, ParamKind::Path | ParamKind::PathOrUrl | ParamKind::Listen)
}

/// The parameters of kvm that are stored and have no effect yet, for help texts.
#[must_use]
pub fn later_parameters() -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, reason) in KvmParams::later() {
        by_reason.entry(reason).or_default().push(name);
    }
    let lines = by_reason.iter().map(|(why, names)| format!("{} (with {why})", names.join(", ")));
    format!("Not acted on yet: {}", lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::keyval::parse_key_values;

    fn pairs(text: &str) -> KeyValues {
        parse_key_values(text).expect("parses")
    }

    // covers: C201 C203
    #[test]
    fn memory_is_a_size_and_sets_both_bounds() {
        let set = backend_overrides(&pairs("memory=1G,vcpus=2,no_auto_balance")).expect("set");
        assert_eq!((set.minmem, set.maxmem, set.vcpus), (Some(1024), Some(1024), Some(2)));
        assert_eq!(set.auto_balance, Some(false));
    }

    // covers: C201
    #[test]
    fn default_leaves_a_parameter_alone() {
        let set = backend_overrides(&pairs("vcpus=default")).expect("set");
        assert_eq!(set, BackendOverrides::default());
    }

    #[test]
    fn wrong_names_values_and_removals_are_refused() {
        for bad in ["memori=1G", "vcpus=two", "maxmem=big", "maxmem=4096T", "-vcpus"] {
            assert!(backend_overrides(&pairs(bad)).is_err(), "{bad}");
        }
        assert!(hypervisor_overrides("kvn", &pairs("acpi=true")).is_err());
        assert!(hypervisor_overrides("kvm", &pairs("acpy=true")).is_err());
    }

    fn kvm(text: &str) -> Result<Vec<(&'static str, String)>, String> {
        let set = hypervisor_overrides("kvm", &pairs(text)).map_err(|error| match error {
            ParamsError::Param(error) => error.to_string(),
            other => other.to_string(),
        })?;
        Ok(set.rows().into_iter().collect())
    }

    // covers: C201
    #[test]
    fn a_name_alone_is_a_flag_that_is_on() {
        let set = kvm("acpi,no_serial_console").expect("set");
        let expected = [("acpi", "True".to_owned()), ("serial_console", "False".to_owned())];
        assert_eq!(set, expected);
    }

    // covers: C201 P18
    #[test]
    fn a_name_alone_of_anything_else_is_refused() {
        for (bare, name) in [
            ("kernel_args", "kernel_args"),
            ("vga", "vga"),
            ("cpu_cores", "cpu_cores"),
            ("no_cpu_cores", "cpu_cores"),
            ("no_boot_order", "boot_order"),
        ] {
            let expected = format!("parameter {name} needs a value: {name}=VALUE");
            assert_eq!(kvm(bare), Err(expected), "{bare}");
        }
        let vcpus = backend_overrides(&pairs("vcpus"));
        assert_eq!(vcpus, Err(ParamsError::NoValue("vcpus".into())));
        assert_eq!(backend_overrides(&pairs("memory")), Err(ParamsError::NoValue("maxmem".into())));
    }

    // covers: C201
    #[test]
    fn no_in_front_and_none_empty_a_text() {
        assert_eq!(kvm("no_kernel_path"), Ok(vec![("kernel_path", String::new())]));
        assert_eq!(kvm("cdrom_image_path=none"), Ok(vec![("cdrom_image_path", String::new())]));
        assert_eq!(kvm("vga=none"), Ok(vec![("vga", "none".into())]), "a graphics card");
        assert_eq!(kvm("disk_cache=default"), Ok(Vec::new()));
    }

    #[test]
    fn what_has_no_effect_yet_is_named_once() {
        let later = later_parameters();
        for name in ["migration_port", "spice_bind", "kvm_pci_reservations", "user_shutdown"] {
            assert_eq!(later.matches(name).count(), 1, "{name}: {later}");
        }
        assert!(!later.contains("vnc_bind_address"), "{later}");
    }
}
