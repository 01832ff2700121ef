//! The opcodes: what a job can be made of (rows O1–O76, common parameters O90–O97).
//!
//! Adding one: a file in a noun folder, one line in the table below. The build then fails at the
//! dispatch of logical units, and the enumeration test names the missing command, help and test.

mod cluster;
mod ganeti_json;
mod ganeti_read;
mod instance;
mod named;
mod node;
mod shown;
mod tags;
mod test;

pub use cluster::{ClusterDestroy, ClusterRenewCrypto, ClusterSetParams};
pub use ganeti_json::OpJsonError;
pub use instance::{
    DiskRequest, InstanceCreate, InstanceReboot, InstanceReinstall, InstanceRemove,
    InstanceShutdown, InstanceStartup, NicRequest, RebootType,
};
pub use named::Named;
pub use node::{NodeAdd, NodeRemove, NodeSetParams, PARAMETER_DEFAULT};
pub use tags::{TagsDel, TagsSet};
#[cfg(feature = "next-version")]
pub use test::TestNext;
pub use test::{DELAY_MAX, TestDelay};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ids::{InstanceUuid, JobId, NodeUuid};
use crate::jobs::JobStatus;
use crate::levels::{LEVEL_FIRST, since};
use crate::names::{InstanceName, NodeName};
use crate::params::SecretParams;
use crate::trust::SecretName;
use ganeti_json::GanetiFields;

/// What an opcode says of its own parameters.
trait Parameters {
    /// The text after the name in a job's summary.
    fn summary_detail(&self) -> Option<String> {
        None
    }

    /// From which state level on it may be submitted with the values that it has: fields that were
    /// added later have a level of their own, and are left out of the encoding where they say
    /// nothing.
    fn level(&self) -> u32 {
        LEVEL_FIRST
    }

    /// Its own fields as Ganeti shows them; nothing if that is how they are encoded.
    fn shown(&self) -> Option<Map<String, Value>> {
        None
    }

    /// From its own fields as Ganeti writes them.
    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError>
    where
        Self: Sized;
}

/// The table of opcodes: `Variant = "OP_ID", "noun/verb";`. The second text is the stem of the
/// files that belong to it: logical unit and command. A row that was not there at the first state
/// level ends in `, since 7;`. The row in `@next` is of the test-only next version and not in
/// `ALL`. Makes [`OpCode`] with `ALL`, `op_id`, `level` and `summary_detail`.
macro_rules! opcodes {
    ($(
        $(#[$doc:meta])* $name:ident = $op_id:literal, $stem:literal $(, since $level:literal)?;
    )*
    @next {
        $(#[$next_doc:meta])* $next:ident = $next_id:literal, since $next_level:literal;
    }) => {
        /// An opcode with its parameters. The wire name is Ganeti's own OP_ID.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum OpCode {
            $($(#[$doc])* #[serde(rename = $op_id)] $name($name),)*
            $(#[$next_doc])*
            #[cfg(feature = "next-version")]
            #[serde(rename = $next_id)]
            #[schemars(skip)]
            $next($next),
        }

        impl OpCode {
            /// OP_ID and file stem of every opcode, in the order of the table.
            pub const ALL: &'static [(&'static str, &'static str)] = &[$(($op_id, $stem)),*];

            /// Ganeti's name of it (O90).
            #[must_use]
            pub fn op_id(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $op_id,)*
                    #[cfg(feature = "next-version")]
                    Self::$next(_) => $next_id,
                }
            }

            /// From which state level on it may be submitted.
            #[must_use]
            pub fn level(&self) -> u32 {
                match self {
                    $(Self::$name(op) => since(&[$($level)?]).max(Parameters::level(op)),)*
                    #[cfg(feature = "next-version")]
                    Self::$next(_) => $next_level,
                }
            }

            /// Its own fields as Ganeti shows them, where they are not encoded like that.
            fn shown(&self) -> Option<Map<String, Value>> {
                match self {
                    $(Self::$name(op) => Parameters::shown(op),)*
                    #[cfg(feature = "next-version")]
                    Self::$next(op) => Parameters::shown(op),
                }
            }

            /// The opcode of that name, from its fields; the name must be one of the table.
            fn read(op_id: &str, fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
                match op_id {
                    $($op_id => <$name as Parameters>::read(fields).map(Self::$name),)*
                    other => unreachable!("{other} is not in the table"),
                }
            }

            /// The text after the name in a job's summary.
            #[must_use]
            pub fn summary_detail(&self) -> Option<String> {
                match self {
                    $(Self::$name(op) => Parameters::summary_detail(op),)*
                    #[cfg(feature = "next-version")]
                    Self::$next(op) => Parameters::summary_detail(op),
                }
            }
        }

        $(impl From<$name> for OpCode {
            fn from(op: $name) -> Self { Self::$name(op) }
        })*

        #[cfg(feature = "next-version")]
        impl From<$next> for OpCode {
            fn from(op: $next) -> Self { Self::$next(op) }
        }
    };
}

opcodes! {
    /// Ends the cluster.
    ClusterDestroy = "OP_CLUSTER_DESTROY", "cluster/destroy";
    /// Replaces certificates.
    ClusterRenewCrypto = "OP_CLUSTER_RENEW_CRYPTO", "cluster/renew_crypto";
    /// Changes what the cluster is set to.
    ClusterSetParams = "OP_CLUSTER_SET_PARAMS", "cluster/modify", since 6;
    /// Adds a node that holds a join token.
    NodeAdd = "OP_NODE_ADD", "node/add";
    /// Removes a node.
    NodeRemove = "OP_NODE_REMOVE", "node/remove";
    /// Changes a node.
    NodeSetParams = "OP_NODE_SET_PARAMS", "node/modify", since 6;
    /// Makes an instance.
    InstanceCreate = "OP_INSTANCE_CREATE", "instance/create";
    /// Removes an instance with its disks.
    InstanceRemove = "OP_INSTANCE_REMOVE", "instance/remove";
    /// Installs an instance anew.
    InstanceReinstall = "OP_INSTANCE_REINSTALL", "instance/reinstall", since 6;
    /// Starts an instance.
    InstanceStartup = "OP_INSTANCE_STARTUP", "instance/startup";
    /// Stops an instance.
    InstanceShutdown = "OP_INSTANCE_SHUTDOWN", "instance/shutdown";
    /// Restarts an instance.
    InstanceReboot = "OP_INSTANCE_REBOOT", "instance/reboot";
    /// Adds tags.
    TagsSet = "OP_TAGS_SET", "tags/set", since 6;
    /// Removes tags.
    TagsDel = "OP_TAGS_DEL", "tags/del", since 6;
    /// Waits.
    TestDelay = "OP_TEST_DELAY", "test/delay";

    @next {
        /// An opcode of the version after this one, for tests of clusters with both.
        TestNext = "OP_TEST_NEXT", since 7;
    }
}

impl OpCode {
    /// Takes out the values that nobody is shown: for views, and of jobs that have ended.
    pub fn redact(&mut self) {
        let private = match self {
            Self::InstanceCreate(op) => &mut op.osparams_private,
            Self::InstanceReinstall(op) => &mut op.osparams_private,
            _ => return,
        };
        *private = private.redacted();
        if let Some(secret @ SecretParams::Given(_)) = self.secret_mut() {
            *secret = secret.redacted().into();
        }
    }

    /// Under which name its secret parameters are sealed, if they are.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretName> {
        match self {
            Self::InstanceCreate(op) => op.osparams_secret.secret(),
            Self::InstanceReinstall(op) => op.osparams_secret.secret(),
            _ => None,
        }
    }

    /// Its secret parameters, if it is one that has such.
    pub fn secret_mut(&mut self) -> Option<&mut SecretParams> {
        match self {
            Self::InstanceCreate(op) => Some(&mut op.osparams_secret),
            Self::InstanceReinstall(op) => Some(&mut op.osparams_secret),
            _ => None,
        }
    }

    /// As in job lists: `INSTANCE_STARTUP(web1)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let name = self.op_id().strip_prefix("OP_").unwrap_or(self.op_id());
        match self.summary_detail() {
            Some(detail) => format!("{name}({detail})"),
            None => name.to_owned(),
        }
    }
}

/// Highest urgency of a job (row Q30); lower numbers are more urgent.
pub const PRIORITY_HIGHEST: i8 = -20;
/// Lowest urgency of a job (row Q30).
pub const PRIORITY_LOWEST: i8 = 19;

/// The urgencies that may be submitted (O93): high, normal, low. Others come by changing that of a
/// job, which is asked of the few that need it.
pub const PRIORITIES_SUBMITTED: [i8; 3] = [-10, 0, 10];

/// One entry of a reason trail: source, text, nanoseconds since 1970 (O96).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Such as `gnt:client:gnt-instance`.
    pub source: String,
    /// Free text.
    pub text: String,
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
}

/// A dependency on another job (O94, Q33).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// The other job; 0 where `back` says which.
    pub job: JobId,
    /// End states that satisfy it; none means any.
    pub states: Vec<JobStatus>,
    /// So many numbers before the job's own, which is not known before it is submitted. A job that
    /// has its number has `job` in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<u32>,
}

impl Dependency {
    /// On a job that has its number.
    #[must_use]
    pub fn on(job: JobId, states: Vec<JobStatus>) -> Self {
        Self { job, states, back: None }
    }

    /// The same for the job of this number; nothing if there can be no such other job.
    #[must_use]
    pub fn resolved(&self, own: JobId) -> Option<Self> {
        let job = match self.back {
            None => self.job,
            Some(0) => return None,
            Some(back) => JobId(own.0.checked_sub(u64::from(back)).filter(|job| *job > 0)?),
        };
        Some(Self::on(job, self.states.clone()))
    }
}

/// An id that was given beside the name of something: what has that name must be it (O97).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Of an instance.
    Instance {
        /// Its name.
        name: InstanceName,
        /// Its id.
        uuid: InstanceUuid,
    },
    /// Of a node.
    Node {
        /// Its name.
        name: NodeName,
        /// Its id.
        uuid: NodeUuid,
    },
}

/// What every opcode takes (O90–O97).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OpCommon {
    /// Stop after the check.
    pub dry_run: bool,
    /// Urgency.
    pub priority: i8,
    /// Jobs that must end first.
    pub depends: Vec<Dependency>,
    /// Free text.
    pub comment: Option<String>,
    /// Who asked for it and why.
    pub reason: Vec<Reason>,
    /// How much hooks and scripts of an OS say; nothing of them is run yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub debug_level: u32,
    /// Ids that were given beside names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Expected>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl OpCommon {
    /// From which state level on it may be submitted with the values that it has.
    fn level(&self) -> u32 {
        let later = self.debug_level > 0
            || !self.expected.is_empty()
            || self.depends.iter().any(|dependency| dependency.back.is_some());
        if later { LATER_COMMON } else { LEVEL_FIRST }
    }
}

/// The level of what every opcode has and was not there at first.
const LATER_COMMON: u32 = 6;

/// An opcode as submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OpRequest {
    /// What to do.
    pub op: OpCode,
    /// And how.
    #[serde(default)]
    pub common: OpCommon,
}

impl OpRequest {
    /// From which state level on it may be submitted.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.op.level().max(self.common.level())
    }

    /// The opcode's own parameters and those that every opcode has, in one object as in Ganeti.
    #[must_use]
    pub fn input_fields(&self) -> Value {
        let mut fields = self.op.shown().unwrap_or_else(|| encoded(&self.op));
        let OpCommon { dry_run, priority, depends, comment, reason, debug_level, expected } =
            &self.common;
        let depends: Vec<Value> = depends
            .iter()
            .map(|dependency| {
                let states: Vec<&str> = dependency.states.iter().map(|s| s.as_str()).collect();
                match dependency.back {
                    Some(back) => json!([-i64::from(back), states]),
                    None => json!([dependency.job, states]),
                }
            })
            .collect();
        let reason: Vec<Value> =
            reason.iter().map(|reason| json!([reason.source, reason.text, reason.at_ns])).collect();
        fields.insert("OP_ID".to_owned(), json!(self.op.op_id()));
        fields.insert("comment".to_owned(), json!(comment));
        fields.insert("debug_level".to_owned(), json!(debug_level));
        let depends = if depends.is_empty() { Value::Null } else { depends.into() };
        fields.insert("depends".to_owned(), depends);
        fields.insert("dry_run".to_owned(), json!(dry_run));
        fields.insert("priority".to_owned(), json!(priority));
        fields.insert("reason".to_owned(), Value::Array(reason));
        for expected in expected {
            let (field, uuid) = self.twin(expected);
            match (fields.get_mut(field), &self.op) {
                (Some(Value::Array(uuids)), OpCode::TestDelay(_)) => uuids.push(uuid),
                (_, OpCode::TestDelay(_)) => {
                    fields.insert(field.to_owned(), Value::Array(vec![uuid]));
                }
                _ => {
                    fields.insert(field.to_owned(), uuid);
                }
            }
        }
        Value::Object(fields)
    }

    /// The field of Ganeti that an id beside a name stands in.
    fn twin(&self, expected: &Expected) -> (&'static str, Value) {
        match (expected, &self.op) {
            (Expected::Instance { uuid, .. }, _) => ("instance_uuid", json!(uuid)),
            (Expected::Node { uuid, .. }, OpCode::InstanceCreate(_)) => ("pnode_uuid", json!(uuid)),
            (Expected::Node { uuid, .. }, OpCode::TestDelay(_)) => ("on_node_uuids", json!(uuid)),
            (Expected::Node { uuid, .. }, _) => ("node_uuid", json!(uuid)),
        }
    }
}

/// The fields of an opcode, which is encoded as `{"OP_ID": {parameters}}`.
fn encoded(op: &OpCode) -> Map<String, Value> {
    match serde_json::to_value(op).expect("opcodes are plain values") {
        Value::Object(mut one) => match one.remove(op.op_id()) {
            Some(Value::Object(own)) => own,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

impl<T: Into<OpCode>> From<T> for OpRequest {
    fn from(op: T) -> Self {
        Self { op: op.into(), common: OpCommon::default() }
    }
}

#[cfg(test)]
mod any_json;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::InstanceName;
    use crate::units::Millis;

    // covers: O36
    #[test]
    fn the_summary_names_the_object() {
        let op = OpCode::from(InstanceStartup::new(InstanceName::new("web1").expect("valid")));
        assert_eq!(op.summary(), "INSTANCE_STARTUP(web1)");
    }

    #[test]
    fn an_opcode_is_encoded_under_its_op_id() {
        let op = OpCode::from(TestDelay { duration: Millis(1), ..TestDelay::default() });
        let json = serde_json::to_value(&op).expect("encodes");
        assert!(json.get("OP_TEST_DELAY").is_some(), "{json}");
    }

    #[test]
    fn op_ids_and_stems_are_unique() {
        for (i, (op_id, stem)) in OpCode::ALL.iter().enumerate() {
            for (other_id, other_stem) in &OpCode::ALL[..i] {
                assert!(op_id != other_id && stem != other_stem);
            }
        }
    }
}
