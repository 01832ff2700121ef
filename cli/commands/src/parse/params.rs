//! Parameters as typed into overrides: `-H kvm:acpi=false`, `-B maxmem=1G,vcpus=2`.

use gantry_model::params::{BackendOverrides, HvOverrides, HypervisorKind, ParamError};

use super::ParseError;
use super::keyval::{KeyValue, KeyValues};
use super::size::parse_size;

/// The word that leaves a parameter at its default (C201).
const DEFAULT: &str = "default";

/// Why parameters cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The model refuses one.
    #[error("cannot set a parameter")]
    Param(#[source] ParamError),
    /// A value that is not of its form.
    #[error("cannot read a parameter")]
    Value(#[source] ParseError),
    /// No such hypervisor.
    #[error("unknown hypervisor {name:?}, known are: {known}")]
    Hypervisor {
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
        let Some(text) = text_of(name, value)? else { continue };
        set_backend(&mut overrides, name, &text).map_err(|error| refused(name, value, error))?;
    }
    Ok(overrides)
}

fn set_backend(
    overrides: &mut BackendOverrides,
    name: &str,
    text: &str,
) -> Result<(), ParamsError> {
    let memory = || match parse_size(text) {
        Ok(size) => Ok(size.0.to_string()),
        Err(error) => Err(ParamsError::Value(ParseError { what: name.to_owned(), ..error })),
    };
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

/// Nobody has written the value of a name that stands alone: it is not repeated as wrong.
fn refused(name: &str, value: &KeyValue, error: ParamsError) -> ParamsError {
    let bad = ParamsError::NoValue(name.to_owned());
    match (value, &error) {
        (KeyValue::Text(_) | KeyValue::Removed, _) => error,
        (_, ParamsError::Param(ParamError::BadValue { .. }) | ParamsError::Value(_)) => bad,
        _ => error,
    }
}

/// Hypervisor parameters: which hypervisor, and how it differs.
///
/// # Errors
/// When the hypervisor, a name or a value is none that exists.
pub fn hypervisor_overrides(name: &str, pairs: &KeyValues) -> Result<HvOverrides, ParamsError> {
    let mut overrides = HvOverrides::none(hypervisor(name)?);
    for (name, value) in pairs {
        if let Some(text) = text_of(name, value)? {
            let set = overrides.set(name, &text).map_err(ParamsError::Param);
            set.map_err(|error| refused(name, value, error))?;
        }
    }
    Ok(overrides)
}

/// A hypervisor by its word.
///
/// # Errors
/// When there is no such hypervisor.
pub fn hypervisor(name: &str) -> Result<HypervisorKind, ParamsError> {
    HypervisorKind::from_word(name).ok_or_else(|| ParamsError::Hypervisor {
        name: name.to_owned(),
        known: HypervisorKind::ALL.map(HypervisorKind::as_str).join(", "),
    })
}

/// The value as text; `None` where the default is wanted.
fn text_of(name: &str, value: &KeyValue) -> Result<Option<String>, ParamsError> {
    match value {
        KeyValue::Text(text) if text == DEFAULT => Ok(None),
        KeyValue::Text(text) => Ok(Some(text.clone())),
        KeyValue::True => Ok(Some("true".to_owned())),
        KeyValue::False => Ok(Some("false".to_owned())),
        KeyValue::Removed => Err(ParamsError::Removed(name.to_owned())),
    }
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
        for bad in ["memori=1G", "vcpus=two", "maxmem=big", "-vcpus"] {
            assert!(backend_overrides(&pairs(bad)).is_err(), "{bad}");
        }
        assert!(hypervisor_overrides("kvn", &pairs("acpi=true")).is_err());
        assert!(hypervisor_overrides("kvm", &pairs("acpy=true")).is_err());
    }

    #[test]
    fn a_bare_flag_is_true() {
        let set = hypervisor_overrides("kvm", &pairs("acpi,no_serial_console")).expect("set");
        let HvOverrides::Kvm(set) = set else { panic!("kvm was named") };
        assert_eq!((set.acpi, set.serial_console), (Some(true), Some(false)));
    }
}
