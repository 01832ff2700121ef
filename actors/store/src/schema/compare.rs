//! Comparing two JSON schemas: can readers of the one read what writers of the other write?
//!
//! Made for what schemars generates from serde's types. Words for people (titles, descriptions,
//! defaults) do not matter; whatever it does not know must be equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

/// One thing that old and new do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// Where: names of fields and variants from the root, with dots.
    pub path: String,
    /// What.
    pub change: Change,
}

/// What kind of disagreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A field is gone, or has another name.
    FieldRemoved,
    /// A field came that old writers do not write.
    RequiredFieldAdded,
    /// A field must be there that old writers may leave out.
    BecameRequired,
    /// A variant is gone, or has another name.
    VariantRemoved,
    /// A variant came that old readers do not know.
    VariantAdded,
    /// It is of another type.
    TypeChanged,
    /// Other values are allowed.
    ConstraintChanged,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::FieldRemoved => "field removed or renamed",
            Change::RequiredFieldAdded => "required field added",
            Change::BecameRequired => "field became required",
            Change::VariantRemoved => "variant removed or renamed",
            Change::VariantAdded => "variant added",
            Change::TypeChanged => "type changed",
            Change::ConstraintChanged => "allowed values changed",
        };
        write!(f, "{}: {change}", self.path)
    }
}

/// What makes old and new unable to read each other. Empty: every change between them is that of
/// words, or an added field that may be absent.
#[must_use]
pub fn compare(old: &Value, new: &Value) -> Vec<Incompatibility> {
    let mut walk = Walk { old, new, seen: BTreeSet::new(), found: Vec::new() };
    walk.schema("$", old, new);
    walk.found
}

/// Keywords that say nothing about what is valid.
const WORDS: [&str; 9] = [
    "$schema",
    "$defs",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
];

/// Keywords that are walked into.
const WALKED: [&str; 11] = [
    "type",
    "properties",
    "required",
    "items",
    "prefixItems",
    "additionalProperties",
    "oneOf",
    "anyOf",
    "enum",
    "const",
    "$ref",
];

struct Walk<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs of definitions that have been compared, or are being compared further up.
    seen: BTreeSet<(String, String)>,
    found: Vec<Incompatibility>,
}

impl<'a> Walk<'a> {
    fn note(&mut self, path: &str, change: Change) {
        self.found.push(Incompatibility { path: path.to_owned(), change });
    }

    fn schema(&mut self, path: &str, old: &'a Value, new: &'a Value) {
        let (old_name, new_name) = (reference(old), reference(new));
        if let (Some(a), Some(b)) = (old_name, new_name)
            && !self.seen.insert((a.to_owned(), b.to_owned()))
        {
            return;
        }
        let (old, new) = (resolve(self.old, old), resolve(self.new, new));
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => self.object(path, old, new),
            (old, new) if old == new => {}
            _ => self.note(path, Change::TypeChanged),
        }
    }

    fn object(&mut self, path: &str, old: &'a Map<String, Value>, new: &'a Map<String, Value>) {
        let (old_variants, new_variants) = (self.variants(true, old), self.variants(false, new));
        match (old_variants, new_variants) {
            (Some(old), Some(new)) => return self.variant_lists(path, &old, &new),
            (None, None) => {}
            _ => return self.note(path, Change::TypeChanged),
        }
        if types(old) != types(new) {
            return self.note(path, Change::TypeChanged);
        }
        self.fields(path, old, new);
        self.list(path, "anyOf", old, new);
        self.list(path, "prefixItems", old, new);
        self.part(path, "items", "[]", old, new);
        self.part(path, "additionalProperties", "{}", old, new);
        let rest = |schema: &Map<String, Value>| -> BTreeMap<String, Value> {
            schema
                .iter()
                .filter(|(key, _)| !WORDS.contains(&key.as_str()))
                .filter(|(key, _)| !WALKED.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        if rest(old) != rest(new) {
            self.note(path, Change::ConstraintChanged);
        }
    }

    fn fields(&mut self, path: &str, old: &'a Map<String, Value>, new: &'a Map<String, Value>) {
        let (old_fields, new_fields) = (properties(old), properties(new));
        let (old_needs, new_needs) = (required(old), required(new));
        for (name, old_field) in &old_fields {
            let at = format!("{path}.{name}");
            let Some(new_field) = new_fields.get(name) else {
                self.note(&at, Change::FieldRemoved);
                continue;
            };
            if new_needs.contains(name) && !old_needs.contains(name) {
                self.note(&at, Change::BecameRequired);
            }
            self.schema(&at, old_field, new_field);
        }
        for name in new_fields.keys().filter(|name| !old_fields.contains_key(*name)) {
            if new_needs.contains(name) {
                self.note(&format!("{path}.{name}"), Change::RequiredFieldAdded);
            }
        }
    }

    fn list(
        &mut self,
        path: &str,
        key: &str,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
    ) {
        match (old.get(key), new.get(key)) {
            (None, None) => {}
            (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
                for (i, (old, new)) in old.iter().zip(new).enumerate() {
                    self.schema(&format!("{path}.{i}"), old, new);
                }
            }
            _ => self.note(path, Change::TypeChanged),
        }
    }

    fn part(
        &mut self,
        path: &str,
        key: &str,
        suffix: &str,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
    ) {
        match (old.get(key), new.get(key)) {
            (None, None) => {}
            (Some(old), Some(new)) => self.schema(&format!("{path}{suffix}"), old, new),
            _ => self.note(path, Change::TypeChanged),
        }
    }

    fn variant_lists(&mut self, path: &str, old: &Variants<'a>, new: &Variants<'a>) {
        for (name, old_variant) in old {
            let at = format!("{path}.{name}");
            match (old_variant, new.get(name)) {
                (_, None) => self.note(&at, Change::VariantRemoved),
                (None, Some(None)) => {}
                (Some(old), Some(Some(new))) => self.schema(&at, old, new),
                _ => self.note(&at, Change::TypeChanged),
            }
        }
        for name in new.keys().filter(|name| !old.contains_key(*name)) {
            self.note(&format!("{path}.{name}"), Change::VariantAdded);
        }
    }

    /// The variants of an enum as serde writes it: a plain name, or an object whose only field is
    /// the name. `None` when it is not one.
    fn variants(&self, is_old: bool, schema: &'a Map<String, Value>) -> Option<Variants<'a>> {
        let root = if is_old { self.old } else { self.new };
        let mut variants = BTreeMap::new();
        for option in schema.get("oneOf")?.as_array()? {
            let option = resolve(root, option).as_object()?;
            if let Some(names) = names(option) {
                variants.extend(names.into_iter().map(|name| (name, None)));
            } else {
                let fields = properties(option);
                let (name, inner) = fields.into_iter().next()?;
                variants.insert(name, Some(inner));
            }
        }
        Some(variants)
    }
}

/// By name: what it carries, if anything.
type Variants<'a> = BTreeMap<String, Option<&'a Value>>;

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()
}

/// Follows references; what points nowhere stays as it is.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = reference(schema)
        .and_then(|name| name.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    match target {
        Some(target) if !std::ptr::eq(target, schema) => resolve(root, target),
        Some(_) | None => schema,
    }
}

fn names(schema: &Map<String, Value>) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (schema.get("const"), schema.get("enum")) {
        (Some(name), _) => text(name).map(|name| vec![name]),
        (None, Some(names)) => names.as_array()?.iter().map(text).collect(),
        (None, None) => None,
    }
}

/// Types and plain values that are allowed.
fn types(schema: &Map<String, Value>) -> BTreeSet<String> {
    ["type", "enum", "const"]
        .into_iter()
        .filter_map(|key| schema.get(key))
        .flat_map(|value| match value {
            Value::Array(values) => values.iter().map(Value::to_string).collect(),
            value => vec![value.to_string()],
        })
        .collect()
}

fn properties(schema: &Map<String, Value>) -> BTreeMap<String, &Value> {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.into_iter().flatten().map(|(name, value)| (name.clone(), value)).collect()
}

fn required(schema: &Map<String, Value>) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
