//! Opcodes as Ganeti writes them (rows O90 to O97): one flat object with `OP_ID`, the parameters of
//! the opcode and those that every opcode has.
//!
//! [`OpRequest::from_ganeti`] is the inverse of [`OpRequest::input_fields`]: names, units and
//! defaults are Ganeti's. It is for whoever gets opcodes from outside as text; what is stored and
//! sent has the form of [`OpRequest`] itself. Every key must be known and of its type. A field of
//! something that this program does not do is taken where it says that it shall not be done.
//!
//! Deliberately absent: whether what is named exists, and whether values make sense; the master
//! looks at that when an opcode is submitted, however it was written.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Dependency, Expected, OpCode, OpCommon, OpRequest, PARAMETER_DEFAULT, PRIORITIES_SUBMITTED,
    Reason,
};
use crate::ids::{InstanceUuid, JobId, NodeUuid};
use crate::jobs::JobStatus;
use crate::names::{InstanceName, NodeName};
use crate::units::Millis;

/// Longest time in seconds that a field may say. A year is longer than any time-out that somebody
/// means; higher would overflow milliseconds.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

/// Why a document is no opcode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpJsonError {
    /// It is no object.
    #[error("an opcode is a JSON object with an OP_ID, not {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// There is no name of an opcode in it.
    #[error("the OP_ID of the opcode is missing")]
    NoOpId,
    /// No such opcode.
    #[error("OP_ID {op_id:?} is not supported, known are: {known}")]
    UnknownOpId {
        /// What was given.
        op_id: String,
        /// All there are.
        known: String,
    },
    /// The opcode has no such field.
    #[error("{op_id} has no field {field:?}, its fields are: {known}")]
    UnknownField {
        /// The opcode.
        op_id: &'static str,
        /// What was given.
        field: String,
        /// Those that it has.
        known: String,
    },
    /// A field that has no default was not given.
    #[error("{op_id} needs field {field:?}")]
    Missing {
        /// The opcode.
        op_id: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A value of another type, or out of bounds.
    #[error("field {field:?} of {op_id}: {value} is not {expected}")]
    BadValue {
        /// The opcode.
        op_id: &'static str,
        /// The field.
        field: &'static str,
        /// What was given, cut.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// A value that asks for something that this program does not do.
    #[error("field {field:?} of {op_id}: {value} is not available, only {only} is")]
    NotAvailable {
        /// The opcode.
        op_id: &'static str,
        /// The field.
        field: &'static str,
        /// What was given, cut.
        value: String,
        /// What is accepted.
        only: String,
    },
}

/// How much of a value an error repeats. Lower hides which one is meant; higher fills the screen.
const SHOWN_CHARS_MAX: usize = 80;

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The fields of one opcode, taken out one after the other.
pub(super) struct GanetiFields {
    op_id: &'static str,
    given: Map<String, Value>,
    known: Vec<String>,
    expected: Vec<Expected>,
}

type Read<T> = Result<T, OpJsonError>;

impl GanetiFields {
    /// A value, if one is given; `null` is none.
    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field.to_owned());
        self.given.remove(field).filter(|value| !value.is_null())
    }

    fn bad(&self, field: &'static str, value: &Value, expected: impl Into<String>) -> OpJsonError {
        let (op_id, value) = (self.op_id, shown(value));
        OpJsonError::BadValue { op_id, field, value, expected: expected.into() }
    }

    /// A value of a type that JSON has or can be read as.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        expected: &str,
    ) -> Read<Option<T>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match T::deserialize(&value) {
            Ok(read) => Ok(Some(read)),
            Err(_) => Err(self.bad(field, &value, expected)),
        }
    }

    /// The same without a default.
    pub(super) fn required<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        expected: &str,
    ) -> Read<T> {
        let read = self.optional(field, expected)?;
        self.needed(field, read)
    }

    pub(super) fn needed<T>(&self, field: &'static str, read: Option<T>) -> Read<T> {
        read.ok_or(OpJsonError::Missing { op_id: self.op_id, field })
    }

    /// On or off.
    pub(super) fn flag(&mut self, field: &'static str, default: bool) -> Read<bool> {
        Ok(self.optional(field, "true or false")?.unwrap_or(default))
    }

    /// Text.
    pub(super) fn text(&mut self, field: &'static str) -> Read<Option<String>> {
        self.optional(field, "text")
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, field: &'static str) -> Read<Vec<String>> {
        Ok(self.optional(field, "a list of texts")?.unwrap_or_default())
    }

    /// A number of seconds, whole or not.
    pub(super) fn seconds(&mut self, field: &'static str) -> Read<Option<Millis>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let in_bounds = |seconds: &f64| (0.0..=SECONDS_MAX).contains(seconds);
        match value.as_f64().filter(in_bounds) {
            Some(seconds) => Ok(Some(millis(seconds))),
            None => Err(self.bad(field, &value, "a number of seconds from 0 to 366 days")),
        }
    }

    /// A field of which only one value is available: the one that says what is done anyway.
    pub(super) fn only(&mut self, field: &'static str, only: &Value) -> Read<()> {
        match self.take(field) {
            Some(value) if value != *only => Err(OpJsonError::NotAvailable {
                op_id: self.op_id,
                field,
                value: shown(&value),
                only: only.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Several such fields.
    pub(super) fn only_all(&mut self, fields: &[(&'static str, Value)]) -> Read<()> {
        fields.iter().try_for_each(|(field, only)| self.only(field, only))
    }

    /// A field of which nothing may be said.
    pub(super) fn never(&mut self, field: &'static str) -> Read<()> {
        self.only(field, &Value::Null)
    }

    /// A list of objects, each with fields of its own; `what` stands for the opcode in errors.
    pub(super) fn objects<T>(
        &mut self,
        field: &'static str,
        what: &'static str,
        read: impl Fn(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let Some(value) = self.take(field) else { return Ok(Vec::new()) };
        let objects: Option<Vec<Map<String, Value>>> = Vec::deserialize_value(&value);
        let objects = objects.ok_or_else(|| self.bad(field, &value, "a list of objects"))?;
        let one = |given| {
            let mut inner = Self { op_id: what, given, known: Vec::new(), expected: Vec::new() };
            let object = read(&mut inner)?;
            inner.end()?;
            Ok(object)
        };
        objects.into_iter().map(one).collect()
    }

    /// Parameters by name, each given to `set` as it would be typed; `null` and `default` set none.
    pub(super) fn parameters<E: std::fmt::Display>(
        &mut self,
        field: &'static str,
        mut set: impl FnMut(&str, &str) -> Result<(), E>,
    ) -> Read<()> {
        for (name, text) in self.changed_parameters(field)?.unwrap_or_default() {
            if text == PARAMETER_DEFAULT {
                continue;
            }
            if let Err(error) = set(&name, &text) {
                return Err(self.bad(field, &text.into(), format!("accepted: {error}")));
            }
        }
        Ok(())
    }

    /// Parameters by name, as they would be typed; `null` is [`PARAMETER_DEFAULT`].
    pub(super) fn changed_parameters(
        &mut self,
        field: &'static str,
    ) -> Read<Option<BTreeMap<String, String>>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let Value::Object(given) = &value else {
            return Err(self.bad(field, &value, "an object of parameters"));
        };
        let typed = |(name, one): (&String, &Value)| {
            let text = match one {
                Value::Null => PARAMETER_DEFAULT.to_owned(),
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => one.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(self.bad(field, one, format!("a value of parameter {name:?}")));
                }
            };
            Ok((name.clone(), text))
        };
        given.iter().map(typed).collect::<Read<_>>().map(Some)
    }

    /// What the model reads from a document made of fields; `expected` says what it takes.
    pub(super) fn object<T: DeserializeOwned>(
        &self,
        field: &'static str,
        document: Value,
        expected: &str,
    ) -> Read<T> {
        T::deserialize_value(&document).ok_or_else(|| self.bad(field, &document, expected))
    }

    /// The name of an instance that exists, and the id that it must then have (O97).
    pub(super) fn existing_instance(&mut self) -> Read<InstanceName> {
        let name: InstanceName = self.required("instance_name", "the name of an instance")?;
        if let Some(uuid) =
            self.optional::<InstanceUuid>("instance_uuid", "the id of an instance")?
        {
            self.expected.push(Expected::Instance { name: name.clone(), uuid });
        }
        Ok(name)
    }

    /// The name of a node, or its id in place of the name, or both (O97).
    pub(super) fn existing_node(
        &mut self,
        field: &'static str,
        uuid_field: &'static str,
    ) -> Read<Option<NodeName>> {
        let name: Option<NodeName> = self.optional(field, "the name of a node")?;
        let uuid: Option<NodeUuid> = self.optional(uuid_field, "the id of a node")?;
        Ok(match (name, uuid) {
            (Some(name), Some(uuid)) => {
                self.expected.push(Expected::Node { name: name.clone(), uuid });
                Some(name)
            }
            (name, None) => name,
            (None, Some(uuid)) => Some(named_by_id(uuid)),
        })
    }

    /// Several nodes, by name, by id, or both in the same order.
    pub(super) fn existing_nodes(
        &mut self,
        field: &'static str,
        uuid_field: &'static str,
    ) -> Read<Vec<NodeName>> {
        let names: Vec<NodeName> =
            self.optional(field, "a list of names of nodes")?.unwrap_or_default();
        let Some(value) = self.take(uuid_field) else { return Ok(names) };
        let ids = Vec::<NodeUuid>::deserialize_value(&value);
        let ids = ids.ok_or_else(|| self.bad(uuid_field, &value, "a list of ids of nodes"))?;
        if names.is_empty() {
            return Ok(ids.into_iter().map(named_by_id).collect());
        }
        if names.len() != ids.len() {
            let expected = format!("one id for each of the {} names in {field:?}", names.len());
            return Err(self.bad(uuid_field, &value, expected));
        }
        let pairs = names.iter().cloned().zip(ids);
        self.expected.extend(pairs.map(|(name, uuid)| Expected::Node { name, uuid }));
        Ok(names)
    }

    /// What every opcode has.
    fn common(&mut self) -> Read<OpCommon> {
        let dry_run = self.flag("dry_run", false)?;
        let priority = match self.take("priority") {
            Some(value) => {
                let read = i8::deserialize_value(&value);
                let read = read.filter(|priority| PRIORITIES_SUBMITTED.contains(priority));
                read.ok_or_else(|| self.bad("priority", &value, "-10, 0 or 10"))?
            }
            None => 0,
        };
        let depends = match self.take("depends") {
            Some(value) => {
                let expected = "a list of [job, [end states]], where a job is a number, or one \
                                below 0 for a job before this one";
                dependencies(&value).ok_or_else(|| self.bad("depends", &value, expected))?
            }
            None => Vec::new(),
        };
        let debug_level = self.optional("debug_level", "a number from 0 on")?.unwrap_or_default();
        let comment = self.text("comment")?;
        let reason = match self.take("reason") {
            Some(value) => {
                let expected = "a list of [source, text, nanoseconds since 1970]";
                reasons(&value).ok_or_else(|| self.bad("reason", &value, expected))?
            }
            None => Vec::new(),
        };
        let expected = std::mem::take(&mut self.expected);
        Ok(OpCommon { dry_run, priority, depends, comment, reason, debug_level, expected })
    }

    fn end(mut self) -> Read<()> {
        let Some((field, _)) = self.given.into_iter().next() else { return Ok(()) };
        self.known.sort_unstable();
        let known = self.known.join(", ");
        Err(OpJsonError::UnknownField { op_id: self.op_id, field, known })
    }
}

/// A list that may be read from a borrowed value.
trait DeserializeValue: Sized {
    fn deserialize_value(value: &Value) -> Option<Self>;
}

impl<T: DeserializeOwned> DeserializeValue for T {
    fn deserialize_value(value: &Value) -> Option<Self> {
        T::deserialize(value).ok()
    }
}

/// An id where a name is wanted: whatever takes names of what exists takes ids as well (C208).
fn named_by_id(uuid: NodeUuid) -> NodeName {
    NodeName::new(&uuid.to_string()).expect("hexadecimal digits and hyphens between them")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and a year of milliseconds"
)]
fn millis(seconds: f64) -> Millis {
    Millis((seconds * 1000.0).round() as u64)
}

fn dependencies(value: &Value) -> Option<Vec<Dependency>> {
    value.as_array()?.iter().map(dependency).collect()
}

fn dependency(value: &Value) -> Option<Dependency> {
    let [job, states] = value.as_array()?.as_slice() else { return None };
    let states = Vec::<JobStatus>::deserialize_value(states)?;
    if !states.iter().all(|state| state.is_final()) {
        return None;
    }
    // Ganeti's own clients send numbers of jobs as text as well.
    let number = match job {
        Value::String(text) => text.parse().ok()?,
        number => number.as_i64()?,
    };
    match u64::try_from(number) {
        Ok(0) => None,
        Ok(id) => Some(Dependency { job: JobId(id), states, back: None }),
        Err(_) => {
            let back = u32::try_from(number.unsigned_abs()).ok()?;
            Some(Dependency { job: JobId(0), states, back: Some(back) })
        }
    }
}

fn reasons(value: &Value) -> Option<Vec<Reason>> {
    let one = |value: &Value| {
        let [source, text, at_ns] = value.as_array()?.as_slice() else { return None };
        let (source, text) = (source.as_str()?.to_owned(), text.as_str()?.to_owned());
        Some(Reason { source, text, at_ns: at_ns.as_u64()? })
    };
    value.as_array()?.iter().map(one).collect()
}

impl OpRequest {
    /// Reads an opcode as Ganeti writes it.
    ///
    /// # Errors
    /// When it is none, names a field that the opcode does not have, or has a value that the field
    /// does not take.
    pub fn from_ganeti(document: &Value) -> Result<Self, OpJsonError> {
        let Value::Object(given) = document else {
            return Err(OpJsonError::NotAnObject { found: type_of(document) });
        };
        let mut given = given.clone();
        let op_id = match given.remove("OP_ID") {
            Some(Value::String(op_id)) => op_id,
            Some(other) => {
                let known = known_op_ids();
                return Err(OpJsonError::UnknownOpId { op_id: shown(&other), known });
            }
            None => return Err(OpJsonError::NoOpId),
        };
        let known = OpCode::ALL.iter().find(|(known, _)| *known == op_id);
        let Some((known, _)) = known else {
            return Err(OpJsonError::UnknownOpId { op_id, known: known_op_ids() });
        };
        let (op_id, known, expected) = (*known, Vec::new(), Vec::new());
        let mut fields = GanetiFields { op_id, given, known, expected };
        let op = OpCode::read(op_id, &mut fields)?;
        let common = fields.common()?;
        fields.end()?;
        Ok(Self { op, common })
    }
}

fn known_op_ids() -> String {
    let known: Vec<&str> = OpCode::ALL.iter().map(|(op_id, _)| *op_id).collect();
    known.join(", ")
}

#[cfg(test)]
mod tests;
