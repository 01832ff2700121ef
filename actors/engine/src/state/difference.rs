//! What is different between two states of the configuration, for people.
//!
//! Who may call it: whoever shows what would change. Deliberately absent: jobs, locks, tokens,
//! secrets, and what only counts changes (serial numbers, times).

use std::sync::Arc;

use gantry_model::params::REDACTED;
use gantry_model::plan::PlannedChange;
use imbl::OrdMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::ClusterState;

/// Fields that say only that something has changed.
const COUNTERS: [&str; 2] = ["serial", "mtime"];

impl ClusterState {
    /// What is different in the configuration of a later state, object by object.
    ///
    /// # Errors
    /// When an object cannot be encoded, which would also make a snapshot impossible.
    pub fn differences(&self, later: &Self) -> Result<Vec<PlannedChange>, serde_json::Error> {
        let mut changes = Vec::new();
        if self.destroyed != later.destroyed {
            changes.push(PlannedChange {
                object: "the cluster".to_owned(),
                field: "destroyed".to_owned(),
                before: self.destroyed.into(),
                after: later.destroyed.into(),
            });
        }
        let cluster = |_: &_| "the cluster".to_owned();
        compare(self.cluster.as_ref(), later.cluster.as_ref(), cluster, &mut changes)?;
        let group = |group: &gantry_model::objects::NodeGroup| format!("node group {}", group.name);
        compare_all(&self.groups, &later.groups, group, &mut changes)?;
        let node = |node: &gantry_model::objects::Node| format!("node {}", node.name);
        compare_all(&self.nodes, &later.nodes, node, &mut changes)?;
        let instance =
            |instance: &gantry_model::objects::Instance| format!("instance {}", instance.name);
        compare_all(&self.instances, &later.instances, instance, &mut changes)?;
        changes.iter_mut().for_each(redact);
        Ok(changes)
    }
}

/// Takes the values out that nobody is shown. That they differ may be seen.
fn redact(change: &mut PlannedChange) {
    const PRIVATE: &str = "osparams_private";
    for value in [&mut change.before, &mut change.after] {
        let private = match change.field.as_str() {
            "" => value.get_mut(PRIVATE),
            PRIVATE => Some(value),
            _ => None,
        };
        let private = private.and_then(Value::as_object_mut);
        private.into_iter().flatten().for_each(|(_, value)| *value = REDACTED.into());
    }
}

fn compare_all<K: Ord + Clone, T: Serialize>(
    before: &OrdMap<K, Arc<T>>,
    after: &OrdMap<K, Arc<T>>,
    name: impl Fn(&T) -> String,
    changes: &mut Vec<PlannedChange>,
) -> Result<(), serde_json::Error> {
    for (key, old) in before {
        compare(Some(old), after.get(key), &name, changes)?;
    }
    for (_, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        compare(None, Some(new), &name, changes)?;
    }
    Ok(())
}

fn compare<T: Serialize>(
    before: Option<&Arc<T>>,
    after: Option<&Arc<T>>,
    name: impl Fn(&T) -> String,
    changes: &mut Vec<PlannedChange>,
) -> Result<(), serde_json::Error> {
    match (before, after) {
        // The states share what nobody has touched.
        (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {}
        (Some(old), Some(new)) => {
            let (old_fields, new_fields) = (fields(old.as_ref())?, fields(new.as_ref())?);
            let added = new_fields.keys().filter(|field| !old_fields.contains_key(*field));
            for field in old_fields.keys().chain(added) {
                let value = |of: &Map<String, Value>| of.get(field).cloned().unwrap_or_default();
                let (before, after) = (value(&old_fields), value(&new_fields));
                if before != after && !COUNTERS.contains(&field.as_str()) {
                    let (object, field) = (name(new.as_ref()), field.clone());
                    changes.push(PlannedChange { object, field, before, after });
                }
            }
        }
        (None, None) => {}
        (old, new) => {
            let Some(present) = old.or(new) else { return Ok(()) };
            let value = |of: Option<&Arc<T>>| match of {
                Some(object) => fields(object.as_ref()).map(Value::Object),
                None => Ok(Value::Null),
            };
            let (object, field) = (name(present.as_ref()), String::new());
            changes.push(PlannedChange { object, field, before: value(old)?, after: value(new)? });
        }
    }
    Ok(())
}

fn fields<T: Serialize>(object: &T) -> Result<Map<String, Value>, serde_json::Error> {
    Ok(match serde_json::to_value(object)? {
        Value::Object(fields) => fields,
        other => Map::from_iter([(String::new(), other)]),
    })
}
