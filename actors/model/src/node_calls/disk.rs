//! Calls to disk actors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node_calls::CallTarget;
use crate::objects::Disk;

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
