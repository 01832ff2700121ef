//! The node calls: effects on a node that a job can ask for.
//!
//! Adding one: a struct in a noun file, one line in the table below, a handler with its `recover`
//! in the node crate (the build fails without). A call is complete (the node keeps no
//! configuration), absolute (never "one more"), and named by its [`StepId`](crate::steps::StepId),
//! so that it can be sent again after any crash.

mod disk;
mod instance;
mod node;

pub use disk::{DiskCreate, DiskRemove, DiskWipe, DiskWriteImage};
pub use instance::{InstanceReboot, InstanceStart, InstanceStop};
pub use node::{DelaySocket, NodeDelay, NodeLeave, NodeRenewCertificate, NodeTrust};

use std::time::Duration;

use gantry_wire::ActorPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::ids::{InstanceUuid, NodeUuid};
use crate::levels::{LEVEL_FIRST, LEVEL_INTERRUPTIBLE, since};
use crate::objects::Disk;

/// How long a call may take (classes as in Ganeti's node procedures, appendix B). A call that has
/// its own time (a shutdown time-out) adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutClass {
    /// Looking something up.
    Urgent,
    /// Usual work: a process is started, a file is made.
    Normal,
    /// Copying data.
    Slow,
}

impl TimeoutClass {
    /// The time. Lower than these and a busy machine fails jobs that would succeed; higher and a
    /// job waits long for a node that will not answer.
    #[must_use]
    pub fn duration(self) -> Duration {
        match self {
            Self::Urgent => Duration::from_secs(60),
            Self::Normal => Duration::from_secs(5 * 60),
            Self::Slow => Duration::from_secs(60 * 60),
        }
    }
}

/// The table of node calls: `Variant = "noun.verb", Class;`. A row that was not there at the first
/// state level ends in `, since 7;`: calls stand in the log, which every holder must read.
macro_rules! node_calls {
    ($(
        $(#[$doc:meta])* $name:ident = $wire:literal, $class:ident $(, since $level:literal)?;
    )*) => {
        /// A node call with its parameters.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum NodeCall {
            $($(#[$doc])* #[serde(rename = $wire)] $name($name),)*
        }

        impl NodeCall {
            /// The wire names, in the order of the table.
            pub const ALL: &'static [&'static str] = &[$($wire),*];

            /// Its wire name.
            #[must_use]
            pub fn wire_name(&self) -> &'static str {
                match self { $(Self::$name(_) => $wire,)* }
            }

            /// From which state level on its row is in the table.
            fn row_level(&self) -> u32 {
                match self { $(Self::$name(_) => since(&[$($level)?]),)* }
            }

            /// Its time-out.
            #[must_use]
            pub fn timeout(&self) -> Duration {
                match self {
                    $(Self::$name(call) => TimeoutClass::$class.duration() + call.own_time(),)*
                }
            }

            /// Which actor of the node it is for.
            #[must_use]
            pub fn target(&self) -> CallTarget {
                match self { $(Self::$name(call) => call.target(),)* }
            }
        }

        $(impl From<$name> for NodeCall {
            fn from(call: $name) -> Self { Self::$name(call) }
        })*
    };
}

node_calls! {
    /// Makes the storage of a disk.
    DiskCreate = "disk.create", Slow;
    /// Removes the storage of a disk.
    DiskRemove = "disk.remove", Normal;
    /// Copies an image onto a disk.
    DiskWriteImage = "disk.write-image", Slow;
    /// Overwrites a part of a disk.
    DiskWipe = "disk.wipe", Normal, since 6;
    /// Starts a guest.
    InstanceStart = "instance.start", Normal;
    /// Stops a guest.
    InstanceStop = "instance.stop", Normal;
    /// Restarts a guest.
    InstanceReboot = "instance.reboot", Normal;
    /// Waits.
    NodeDelay = "node.delay", Normal;
    /// The node leaves the cluster: forgets its identity and stops.
    NodeLeave = "node.leave", Normal;
    /// The node believes these authorities.
    NodeTrust = "node.trust", Normal;
    /// The node gets itself a new key and certificate.
    NodeRenewCertificate = "node.renew-certificate", Normal;
}

impl NodeCall {
    /// From which state level on a step may have it: its row's, and that of what it carries.
    #[must_use]
    pub fn level(&self) -> u32 {
        let own = match self {
            Self::InstanceStart(call) => call.spec.level(),
            Self::InstanceStop(call) => {
                call.disks.iter().map(Disk::level).max().unwrap_or(LEVEL_FIRST)
            }
            Self::DiskCreate(DiskCreate { disk })
            | Self::DiskRemove(DiskRemove { disk })
            | Self::DiskWipe(DiskWipe { disk, .. })
            | Self::DiskWriteImage(DiskWriteImage { disk, .. }) => disk.level(),
            Self::NodeDelay(NodeDelay { socket: Some(_), .. }) => LEVEL_INTERRUPTIBLE,
            _ => LEVEL_FIRST,
        };
        self.row_level().max(own)
    }
}

/// The actor that a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallTarget {
    /// The node's own actor.
    Node,
    /// The actor of a guest.
    Instance(InstanceUuid),
    /// The actor of a disk.
    Disk(InstanceUuid, u32),
}

/// Path of the actor of a node.
#[must_use]
pub fn node_path(node: NodeUuid) -> ActorPath {
    path(&format!("/node/{node}"))
}

/// Path of the actor of a guest.
#[must_use]
pub fn instance_path(instance: InstanceUuid) -> ActorPath {
    path(&format!("/instance/{instance}"))
}

/// Path of the actor of a disk.
#[must_use]
pub fn disk_path(instance: InstanceUuid, disk_idx: u32) -> ActorPath {
    path(&format!("/instance/{instance}/disk/{disk_idx}"))
}

pub(crate) fn path(text: &str) -> ActorPath {
    ActorPath::new(text).expect("uuids and numbers are path segments")
}

impl CallTarget {
    /// Its path.
    #[must_use]
    pub fn path(self, node: NodeUuid) -> ActorPath {
        match self {
            Self::Node => node_path(node),
            Self::Instance(instance) => instance_path(instance),
            Self::Disk(instance, disk_idx) => disk_path(instance, disk_idx),
        }
    }
}

/// What a call that was done has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CallOutcome {
    /// Lines for the job's log, such as `emulated: /dev/kvm is not usable`.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether somebody cut it short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

impl CallOutcome {
    /// Done as it was meant, with these lines for the job's log.
    #[must_use]
    pub fn with_notes(notes: Vec<String>) -> Self {
        Self { notes, interrupted: false }
    }
}

/// What the world says of an intent whose result was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// The effect is there.
    Done(CallOutcome),
    /// The effect is not there, nor half of it.
    NotStarted,
    /// It is over, and failed.
    Failed(Fault),
    /// Nobody can say.
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_names_are_unique() {
        for (i, name) in NodeCall::ALL.iter().enumerate() {
            assert!(!NodeCall::ALL[..i].contains(name), "{name}");
        }
    }

    #[test]
    fn disks_live_under_their_instance() {
        let instance = InstanceUuid(uuid::Uuid::nil());
        assert!(disk_path(instance, 3).as_str().starts_with(instance_path(instance).as_str()));
    }
}
