//! Calls to disk actors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node_calls::CallTarget;
use crate::objects::Disk;
use crate::units::MiB;

/// Makes the storage of a disk, of full size and reading as zeros. Done again, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DiskCreate {
    /// The disk.
    pub disk: Disk,
}

/// Removes the storage of a disk. Done again, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DiskRemove {
    /// The disk.
    pub disk: Disk,
}

/// Copies an image to the start of a disk and flushes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DiskWriteImage {
    /// The disk.
    pub disk: Disk,
    /// Absolute path of the image on that node.
    pub image: String,
}

/// Overwrites a part of a disk with zeros and flushes it (D59).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DiskWipe {
    /// The disk.
    pub disk: Disk,
    /// Where the part begins.
    pub offset: MiB,
    /// How much.
    pub size: MiB,
}

/// The least that a storage is expected to write in a second. It gives a call more time than its
/// class does: lower waits long for a disk that hangs, higher gives slow ones up that work.
const WIPED_PER_SECOND: MiB = MiB(8);

impl DiskWipe {
    pub(super) fn own_time(&self) -> Duration {
        Duration::from_secs(self.size.0 / WIPED_PER_SECOND.0)
    }

    pub(super) fn target(&self) -> CallTarget {
        CallTarget::Disk(self.disk.instance, self.disk.index)
    }
}

macro_rules! for_the_disk {
    ($($call:ident)*) => { $(
        impl $call {
            pub(super) fn own_time(&self) -> Duration {
                Duration::ZERO
            }

            pub(super) fn target(&self) -> CallTarget {
                CallTarget::Disk(self.disk.instance, self.disk.index)
            }
        }
    )* };
}

for_the_disk! { DiskCreate DiskRemove DiskWriteImage }
