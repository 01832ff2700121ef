//! What all parameter sets share: the filled set, and the few values in which one differs.
//!
//! A set is declared once, by [`parameter_set!`]. In encodings a set is an object of its
//! parameters. Those of the first state level are always in it, so that the hash of a state from
//! before the others is what it was; the others only where they differ from their default, which
//! therefore never changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::{ParamError, ParamKind, ParamRef, ParamValue};
use crate::levels::LEVEL_FIRST;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamSpec {
    /// Its name.
    pub name: &'static str,
    /// Its value where nobody has set one.
    pub default: ParamRef<'static>,
    /// What it accepts.
    pub kind: ParamKind,
    /// From which state level on it may have another value.
    pub level: u32,
    /// With what it will have an effect; nothing where it has one.
    pub later: Option<&'static str>,
}

/// A set of parameters, filled.
pub trait ParameterSet: Default + 'static {
    /// Name of the type, in schemas.
    const NAME: &'static str;
    /// Its parameters; their order is that of encodings.
    const SPECS: &'static [ParamSpec];

    /// All values, in the order of [`ParameterSet::SPECS`].
    fn values(&self) -> Vec<ParamRef<'_>>;

    /// Sets one; `false` if there is none of this name, or of this type.
    fn put(&mut self, name: &str, value: ParamRef<'_>) -> bool;

    /// Names and values, in order of declaration.
    #[must_use]
    fn rows(&self) -> Vec<(&'static str, String)> {
        Self::SPECS.iter().zip(self.values()).map(|(s, value)| (s.name, value.to_text())).collect()
    }

    /// From which state level on it may appear in the log.
    #[must_use]
    fn level(&self) -> u32 {
        let differs = |(spec, value): (&ParamSpec, ParamRef<'_>)| {
            if value == spec.default { LEVEL_FIRST } else { spec.level }
        };
        Self::SPECS.iter().zip(self.values()).map(differs).max().unwrap_or(LEVEL_FIRST)
    }

    /// Whether each value is one that its parameter accepts.
    ///
    /// # Errors
    /// Names the first that is not.
    fn check_values(&self) -> Result<(), ParamError> {
        let mut all = Self::SPECS.iter().zip(self.values());
        all.try_for_each(|(spec, value)| spec.check(value))
    }
}

impl ParamSpec {
    fn check(&self, value: ParamRef<'_>) -> Result<(), ParamError> {
        if self.kind.takes(value) {
            return Ok(());
        }
        Err(self.refused(value.to_text()))
    }

    fn refused(&self, value: String) -> ParamError {
        ParamError::BadValue { name: self.name, value, expected: self.kind.expected() }
    }
}

fn spec_of<P: ParameterSet>(name: &str) -> Option<(u8, &'static ParamSpec)> {
    (0..).zip(P::SPECS).find(|(_, spec)| spec.name == name)
}

/// The values in which an object differs from a set's defaults; sparse, because most objects differ
/// in few.
pub struct Overrides<P> {
    /// By place in the table, rising.
    set: Vec<(u8, ParamValue)>,
    of: PhantomData<fn() -> P>,
}

impl<P: ParameterSet> Overrides<P> {
    /// Sets one parameter from text.
    ///
    /// # Errors
    /// When there is no such parameter, or it does not accept the text.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ParamError> {
        let (idx, spec) = known::<P>(name)?;
        let value = spec.kind.read(text).ok_or_else(|| spec.refused(text.to_owned()))?;
        self.insert(idx, value);
        Ok(())
    }

    fn insert(&mut self, idx: u8, value: ParamValue) {
        match self.set.binary_search_by_key(&idx, |(at, _)| *at) {
            Ok(at) => self.set[at].1 = value,
            Err(at) => self.set.insert(at, (idx, value)),
        }
    }

    /// One value, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ParamRef<'_>> {
        let (idx, _) = spec_of::<P>(name)?;
        let at = self.set.binary_search_by_key(&idx, |(at, _)| *at).ok()?;
        Some(self.set[at].1.as_ref())
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static ParamSpec, ParamRef<'_>)> {
        self.set.iter().map(|(idx, value)| (&P::SPECS[usize::from(*idx)], value.as_ref()))
    }

    /// The defaults with these overrides.
    #[must_use]
    pub fn over(&self, defaults: &P) -> P
    where
        P: Clone,
    {
        let mut filled = defaults.clone();
        for (spec, value) in self.iter() {
            let of_its_type = filled.put(spec.name, value);
            debug_assert!(of_its_type, "{} took a value of another type", spec.name);
        }
        filled
    }

    /// Names and values that are set.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<&'static str, String> {
        self.iter().map(|(spec, value)| (spec.name, value.to_text())).collect()
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// From which state level on they may appear in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.iter().map(|(spec, _)| spec.level).max().unwrap_or(LEVEL_FIRST)
    }

    /// Whether each value is one that its parameter accepts: what was not typed but sent.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_values(&self) -> Result<(), ParamError> {
        self.iter().try_for_each(|(spec, value)| spec.check(value))
    }
}

/// A parameter by name.
///
/// # Errors
/// When there is none; names all there are.
pub(super) fn known<P: ParameterSet>(name: &str) -> Result<(u8, &'static ParamSpec), ParamError> {
    spec_of::<P>(name).ok_or_else(|| {
        let known: Vec<&str> = P::SPECS.iter().map(|spec| spec.name).collect();
        ParamError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

impl<P> Clone for Overrides<P> {
    fn clone(&self) -> Self {
        Self { set: self.set.clone(), of: PhantomData }
    }
}

impl<P> Default for Overrides<P> {
    fn default() -> Self {
        Self { set: Vec::new(), of: PhantomData }
    }
}

impl<P> PartialEq for Overrides<P> {
    fn eq(&self, other: &Self) -> bool {
        self.set == other.set
    }
}

impl<P> Eq for Overrides<P> {}

impl<P> Hash for Overrides<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.set.hash(state);
    }
}

impl<P: ParameterSet> fmt::Debug for Overrides<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.rows()).finish()
    }
}

impl<P: ParameterSet> Serialize for Overrides<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let given = |spec: &ParamSpec| self.get(spec.name);
        serialize(
            P::SPECS,
            |spec| match given(spec) {
                Some(value) => Field::Value(value),
                None if spec.level == LEVEL_FIRST => Field::Nothing,
                None => Field::LeftOut,
            },
            serializer,
        )
    }
}

/// Encodes a filled set.
pub(super) fn serialize_filled<P: ParameterSet, S: Serializer>(
    set: &P,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let values = set.values();
    let value_of = |spec: &ParamSpec| {
        let at = P::SPECS.iter().position(|other| other.name == spec.name);
        values[at.expect("it is out of this table")]
    };
    serialize(
        P::SPECS,
        |spec| match value_of(spec) {
            value if spec.level > LEVEL_FIRST && value == spec.default => Field::LeftOut,
            value => Field::Value(value),
        },
        serializer,
    )
}

enum Field<'a> {
    Value(ParamRef<'a>),
    Nothing,
    LeftOut,
}

fn serialize<'a, S: Serializer>(
    specs: &'static [ParamSpec],
    field: impl Fn(&ParamSpec) -> Field<'a>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let there = |spec: &&ParamSpec| !matches!(field(spec), Field::LeftOut);
    let n_fields = specs.iter().filter(there).count();
    let mut object = serializer.serialize_struct("parameters", n_fields)?;
    for spec in specs {
        match field(spec) {
            Field::Value(value) => object.serialize_field(spec.name, &value)?,
            Field::Nothing => object.serialize_field(spec.name, &None::<bool>)?,
            Field::LeftOut => object.skip_field(spec.name)?,
        }
    }
    object.end()
}

impl<'de, P: ParameterSet> Deserialize<'de> for Overrides<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut overrides = Self::default();
        let set = |idx, value| overrides.insert(idx, value);
        deserializer.deserialize_map(Object::<P, _> { set, of: PhantomData })?;
        Ok(overrides)
    }
}

/// Decodes a filled set: what is not there has its default.
pub(super) fn deserialize_filled<'de, P: ParameterSet, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<P, D::Error> {
    let mut filled = P::default();
    let set = |idx, value: ParamValue| {
        let of_its_type = filled.put(P::SPECS[usize::from(idx)].name, value.as_ref());
        debug_assert!(of_its_type, "the decoder has compared the types");
    };
    deserializer.deserialize_map(Object::<P, _> { set, of: PhantomData })?;
    Ok(filled)
}

/// Reads an object of parameters; passes over those of a later program.
struct Object<P, F> {
    set: F,
    of: PhantomData<P>,
}

impl<'de, P: ParameterSet, F: FnMut(u8, ParamValue)> Visitor<'de> for Object<P, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some(name) = object.next_key::<Cow<'de, str>>()? {
            let Some((idx, spec)) = spec_of::<P>(&name) else {
                let _from_a_later_program: IgnoredAny = object.next_value()?;
                continue;
            };
            let wrong = |_| A::Error::custom(format_args!("parameter {name} is not of its type"));
            let value = match spec.default {
                ParamRef::Flag(_) => {
                    object.next_value::<Option<bool>>().map_err(wrong)?.map(ParamValue::Flag)
                }
                ParamRef::Number(_) => {
                    object.next_value::<Option<u32>>().map_err(wrong)?.map(ParamValue::Number)
                }
                ParamRef::Text(_) => {
                    object.next_value::<Option<Box<str>>>().map_err(wrong)?.map(ParamValue::Text)
                }
            };
            if let Some(value) = value {
                (self.set)(idx, value);
            }
        }
        Ok(())
    }
}

impl<P: ParameterSet> JsonSchema for Overrides<P> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Overrides", P::NAME).into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schema::<P>(true)
    }
}

/// The schema of a set: an object of which nothing is required.
pub(super) fn schema<P: ParameterSet>(nullable: bool) -> Schema {
    let property = |spec: &ParamSpec| {
        let of_type = match spec.default {
            ParamRef::Flag(_) => "boolean",
            ParamRef::Number(_) => "integer",
            ParamRef::Text(_) => "string",
        };
        let of_type = match nullable {
            true => serde_json::json!([of_type, "null"]),
            false => serde_json::json!(of_type),
        };
        (spec.name.to_owned(), serde_json::json!({ "type": of_type }))
    };
    let properties: serde_json::Map<_, _> = P::SPECS.iter().map(property).collect();
    json_schema!({ "type": "object", "properties": properties })
}

/// Declares a parameter set:
/// `parameter_set! { /// doc struct { /// doc name: type = Type(default), kind; … } }`, where a row
/// may go on with `, since LEVEL` and `, later "with what it will have an effect"`.
macro_rules! parameter_set {
    ($(#[$doc:meta])* $set:ident {
        $($(#[$fdoc:meta])* $field:ident: $ty:ty = $variant:ident($default:expr), $kind:expr
            $(, since $level:literal)? $(, later $later:expr)?;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $set { $($(#[$fdoc])* pub $field: $ty,)* }

        impl Default for $set {
            fn default() -> Self {
                let typed = "a row of the table gives its own type";
                Self {
                    $($field: <$ty as ParamType>::from_param(ParamRef::$variant($default))
                        .expect(typed),)*
                }
            }
        }

        impl ParameterSet for $set {
            const NAME: &'static str = stringify!($set);
            const SPECS: &'static [ParamSpec] = &[$(ParamSpec {
                name: stringify!($field),
                default: ParamRef::$variant($default),
                kind: $kind,
                level: crate::levels::since(&[$($level)?]),
                later: crate::params::set::first(&[$($later)?]),
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

        impl serde::Serialize for $set {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                crate::params::set::serialize_filled(self, to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $set {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                crate::params::set::deserialize_filled(from)
            }
        }

        impl schemars::JsonSchema for $set {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($set).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::params::set::schema::<Self>(false)
            }
        }
    };
}
pub(super) use parameter_set;

/// The only element, if there is one: what an optional part of a row says.
pub(super) const fn first(said: &[&'static str]) -> Option<&'static str> {
    match said {
        [said, ..] => Some(said),
        [] => None,
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
