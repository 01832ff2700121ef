//! Backend parameters: what a guest gets whatever runs it (P10). Six plain values, so their
//! overrides are not sparse.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::set::{ParamSpec, ParameterSet};
use super::value::{ANY_NUMBER, ParamError, ParamKind, ParamRef, ParamType};
use crate::levels::LEVEL_FIRST;

macro_rules! backend_parameters {
    ($($(#[$doc:meta])* $field:ident: $ty:ty = $variant:ident($default:expr), $kind:expr;)*) => {
        /// Backend parameters: what a guest gets whatever runs it (surface.md 8.2).
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct BackendParams { $($(#[$doc])* pub $field: $ty,)* }

        impl Default for BackendParams {
            fn default() -> Self { Self { $($field: $default,)* } }
        }

        impl ParameterSet for BackendParams {
            const NAME: &'static str = "BackendParams";
            const SPECS: &'static [ParamSpec] = &[$(ParamSpec {
                name: stringify!($field),
                default: ParamRef::$variant($default),
                kind: $kind,
                level: LEVEL_FIRST,
                later: None,
            },)*];

            fn values(&self) -> Vec<ParamRef<'_>> { vec![$(self.$field.as_param(),)*] }

            fn put(&mut self, name: &str, value: ParamRef<'_>) -> bool {
                match name {
                    $(stringify!($field) => match <$ty as ParamType>::from_param(value) {
                        Some(value) => { self.$field = value; true }
                        None => false,
                    },)*
                    _ => false,
                }
            }
        }

        /// What differs from the defaults.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct BackendOverrides { $($(#[$doc])* pub $field: Option<$ty>,)* }

        impl BackendOverrides {
            /// Sets one parameter from text.
            ///
            /// # Errors
            /// When there is no such parameter, or it does not accept the text.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), ParamError> {
                let (_, spec) = super::set::known::<BackendParams>(name)?;
                let value = spec.kind.read(text).ok_or_else(|| ParamError::BadValue {
                    name: spec.name,
                    value: text.to_owned(),
                    expected: spec.kind.expected(),
                })?;
                match name {
                    $(stringify!($field) => self.$field = ParamType::from_param(value.as_ref()),)*
                    other => unreachable!("{other} is in the table"),
                }
                Ok(())
            }

            /// The defaults with these overrides.
            #[must_use]
            pub fn over(&self, defaults: &BackendParams) -> BackendParams {
                BackendParams { $($field: self.$field.unwrap_or(defaults.$field),)* }
            }

            /// Names and values that are set.
            #[must_use]
            pub fn rows(&self) -> BTreeMap<&'static str, String> {
                let mut rows = BTreeMap::new();
                $(if let Some(value) = &self.$field {
                    rows.insert(stringify!($field), value.as_param().to_text());
                })*
                rows
            }
        }
    };
}

backend_parameters! {
    /// Never migrate, always fail over.
    always_failover: bool = Flag(false), ParamKind::Flag;
    /// May be moved when the cluster is balanced.
    auto_balance: bool = Flag(true), ParamKind::Flag;
    /// Memory at start, MiB.
    maxmem: u32 = Number(128), ANY_NUMBER;
    /// Memory it can be ballooned down to, MiB.
    minmem: u32 = Number(128), ANY_NUMBER;
    /// Spindles it is counted for.
    spindle_use: u32 = Number(1), ANY_NUMBER;
    /// Virtual CPUs.
    vcpus: u32 = Number(1), ANY_NUMBER;
}

impl BackendOverrides {
    /// The names of all parameters.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BackendParams::SPECS.iter().map(|spec| spec.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: P10
    #[test]
    fn overrides_win_over_defaults_and_nothing_else_changes() {
        let mut over = BackendOverrides::default();
        over.set("maxmem", "512").expect("valid");
        let filled = over.over(&BackendParams::default());
        assert_eq!(filled.maxmem, 512);
        assert_eq!(filled.vcpus, BackendParams::default().vcpus);
    }

    #[test]
    fn a_wrong_type_names_the_parameter() {
        let error = BackendOverrides::default().set("vcpus", "-1").expect_err("negative");
        assert_eq!(error.to_string(), "'vcpus' (value -1) is not a valid integer from 0 on");
    }
}
