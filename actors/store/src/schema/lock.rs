//! Comparing a form with its checked-in lock.

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::compare::{Change, Incompatibility, compare};

/// Set to `1` it writes locks anew where that is allowed.
pub const BLESS_VARIABLE: &str = "GANTRY_BLESS";

/// A type that leaves the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Name of its lock file, without suffix.
    pub name: &'static str,
    /// The version that readers of it know.
    pub version: u32,
    /// The newest version whose words are settled: those of a later one still grow.
    pub settled: u32,
    /// Its JSON schema.
    pub schema: Value,
}

impl Form {
    /// The form of a type.
    #[must_use]
    pub fn of<T: JsonSchema>(name: &'static str, version: u32) -> Self {
        let mut schema = schemars::schema_for!(T).to_value();
        strip_words(&mut schema);
        Self { name, version, settled: version, schema }
    }

    /// The same while no program out there knows a version after `settled`: variants may join the
    /// form without another version, as nobody is there who reads the present one without them.
    /// Anything else that is incompatible stays so, because what older versions wrote is read too.
    #[must_use]
    pub fn growing_since(self, settled: u32) -> Self {
        Self { settled, ..self }
    }

    fn locked(&self) -> Value {
        json!({ "version": self.version, "schema": self.schema })
    }
}

/// Takes titles and descriptions out: a better comment is no change of the form.
fn strip_words(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("title");
    schema.remove("description");
    for (key, value) in schema {
        match (key.as_str(), value) {
            // Keyed by names of fields and types, which may be called like a keyword.
            ("properties" | "$defs", Value::Object(named)) => {
                named.values_mut().for_each(strip_words);
            }
            ("oneOf" | "anyOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(strip_words);
            }
            ("items" | "additionalProperties", value) => strip_words(value),
            _ => {}
        }
    }
}

/// Why a form is not what its lock says.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is no lock yet.
    #[error("{} does not exist; run again with {BLESS_VARIABLE}=1 to write it", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It changed so that old and new can read each other.
    #[error(
        "{} is out of date, the change is compatible; run again with {BLESS_VARIABLE}=1 to write \
         it, and check it in",
        path.display()
    )]
    Stale {
        /// The lock.
        path: PathBuf,
    },
    /// It changed so that old and new cannot read each other.
    #[error(
        "{name} changed incompatibly under version {version}: {}; raise the version (for what \
         stands in the log: the state level), or make what is added optional by #[serde(default)]",
        list(changes)
    )]
    Incompatible {
        /// Which form.
        name: &'static str,
        /// Its version.
        version: u32,
        /// What changed.
        changes: Vec<Incompatibility>,
    },
    /// The version went down.
    #[error("{name} has version {version}, its lock {locked}: a version never goes down")]
    VersionFell {
        /// Which form.
        name: &'static str,
        /// Its version.
        version: u32,
        /// That of the lock.
        locked: u64,
    },
    /// The lock cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn list(changes: &[Incompatibility]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Compares a form with its lock in `dir`. With `bless` the lock is written where that is allowed:
/// when it is missing, when the change is compatible, or when the version was raised.
///
/// # Errors
/// When the form is not what the lock says, and it was not, or may not be, written anew.
pub fn verify(dir: &Path, form: &Form, bless: bool) -> Result<(), LockError> {
    let path = dir.join(format!("{}.json", form.name));
    let failed = |source| LockError::File { path: path.clone(), source };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(text) = text {
        let locked: Value = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
        if locked == form.locked() {
            return Ok(());
        }
        check_change(form, &locked)?;
        if !bless {
            return Err(LockError::Stale { path });
        }
    } else if !bless {
        return Err(LockError::Missing { path });
    }
    let mut text = serde_json::to_string_pretty(&form.locked()).map_err(|e| failed(e.into()))?;
    text.push('\n');
    std::fs::write(&path, text).map_err(failed)
}

fn check_change(form: &Form, locked: &Value) -> Result<(), LockError> {
    let (name, version) = (form.name, form.version);
    let locked_version = locked["version"].as_u64().unwrap_or_default();
    if u64::from(version) < locked_version {
        return Err(LockError::VersionFell { name, version, locked: locked_version });
    }
    if u64::from(version) > locked_version {
        return Ok(());
    }
    let mut changes = compare(&locked["schema"], &form.schema);
    if version > form.settled {
        changes.retain(|found| found.change != Change::VariantAdded);
    }
    if changes.is_empty() {
        Ok(())
    } else {
        Err(LockError::Incompatible { name, version, changes })
    }
}
