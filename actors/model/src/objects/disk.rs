//! Disks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{DiskUuid, InstanceUuid};
use crate::levels::{LEVEL_FIRST, LEVEL_SHARED_FILES};
use crate::units::MiB;

/// How the disks of an instance are stored (row O106; the others come with their storage).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DiskTemplate {
    /// No disks.
    Diskless,
    /// Image files in a directory of the node.
    File,
    /// Disks that exist only in a record, for tests.
    Fake,
    /// Image files in a directory that all nodes share.
    #[serde(rename = "sharedfile")]
    SharedFile,
}

impl DiskTemplate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Diskless, Self::File, Self::SharedFile, Self::Fake];

    /// Ganeti's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diskless => "diskless",
            Self::File => "file",
            Self::Fake => "fake",
            Self::SharedFile => "sharedfile",
        }
    }

    /// From which state level on it may be in the log.
    #[must_use]
    pub fn level(self) -> u32 {
        match self {
            Self::Diskless | Self::File | Self::Fake => LEVEL_FIRST,
            Self::SharedFile => LEVEL_SHARED_FILES,
        }
    }

    /// Whether the disks are files below a directory of the cluster.
    #[must_use]
    pub fn is_files(self) -> bool {
        matches!(self, Self::File | Self::SharedFile)
    }

    /// From Ganeti's word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == word)
    }
}

impl std::fmt::Display for DiskTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a guest may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskMode {
    /// Read and write.
    Rw,
    /// Read only.
    Ro,
}

/// Where the bytes of a disk are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskLocation {
    /// A raw image file on the instance's node.
    File {
        /// Absolute.
        path: String,
    },
    /// A record of the fake storage.
    Fake,
    /// A raw image file that every node sees under the same path.
    SharedFile {
        /// Absolute.
        path: String,
    },
}

/// One disk of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Its id; also in the names of everything made for it.
    pub uuid: DiskUuid,
    /// Whose it is.
    pub instance: InstanceUuid,
    /// Its place among the disks of the instance, from 0.
    pub index: u32,
    /// Its size.
    pub size: MiB,
    /// Whether the guest may write.
    pub mode: DiskMode,
    /// A name given by the user.
    pub name: Option<String>,
    /// Where it is.
    pub location: DiskLocation,
}

impl Disk {
    /// How it is stored.
    #[must_use]
    pub fn template(&self) -> DiskTemplate {
        match self.location {
            DiskLocation::File { .. } => DiskTemplate::File,
            DiskLocation::Fake => DiskTemplate::Fake,
            DiskLocation::SharedFile { .. } => DiskTemplate::SharedFile,
        }
    }

    /// From which state level on it may be in the log.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.template().level()
    }
}
