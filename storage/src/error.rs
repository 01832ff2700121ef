//! Why a storage could not do what was asked.

use std::path::PathBuf;

use gantry_model::errors::FaultCode;
use gantry_model::ids::DiskUuid;
use gantry_model::objects::{Disk, DiskTemplate};
use gantry_model::units::MiB;

/// Why a storage could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No such storage here.
    #[error("storage {0} is not set up on this node")]
    NotRegistered(DiskTemplate),
    /// A disk of another storage.
    #[error("disk {disk} is a {actual} disk, not a {expected} disk")]
    WrongTemplate {
        /// Which.
        disk: DiskUuid,
        /// This storage.
        expected: DiskTemplate,
        /// What it is.
        actual: DiskTemplate,
    },
    /// Outside the directory that disks may be in.
    #[error("path {path:?} is not accepted: {accepted}")]
    PathNotAllowed {
        /// What was given.
        path: String,
        /// What would be.
        accepted: String,
    },
    /// A disk that cannot be.
    #[error("disk size {size} is not accepted: at least 1 MiB")]
    BadSize {
        /// What was given.
        size: MiB,
    },
    /// No room.
    #[error("no room for {size} at {path}")]
    NoSpace {
        /// What was to be made.
        path: PathBuf,
        /// How much was asked for.
        size: MiB,
        /// What the system said, if it was the system.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Another thing has the name.
    #[error("{path} exists with {actual_bytes} bytes, not {expected_bytes}")]
    Conflict {
        /// What is there.
        path: PathBuf,
        /// The size of the disk that was asked for.
        expected_bytes: u64,
        /// The size of what is there.
        actual_bytes: u64,
    },
    /// The disk is not there.
    #[error("disk {disk} does not exist at {place}")]
    NotFound {
        /// Which.
        disk: DiskUuid,
        /// Where it should be.
        place: String,
    },
    /// The image is not there or not a file.
    #[error("image {path} is not a readable file")]
    BadImage {
        /// Its path.
        path: PathBuf,
        /// Why, if the system said so.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The image does not fit.
    #[error("image {path} has {image_bytes} bytes, the disk only {disk_bytes}")]
    ImageTooLarge {
        /// Its path.
        path: PathBuf,
        /// Its size.
        image_bytes: u64,
        /// Size of the disk.
        disk_bytes: u64,
    },
    /// A part that is not in the disk.
    #[error("{size} from {offset} on are not within the {disk_size} of the disk")]
    OutOfDisk {
        /// Where the part begins.
        offset: MiB,
        /// How large it is.
        size: MiB,
        /// The size of the disk.
        disk_size: MiB,
    },
    /// A file could not be used.
    #[error("could not {attempt} {path}")]
    Io {
        /// A verb.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The work was lost: its thread pool has shut down.
    #[error("could not {attempt}: no thread to do it on")]
    NoThread {
        /// A verb.
        attempt: &'static str,
        /// Why.
        #[source]
        source: gantry_host::BlockingLost,
    },
    /// A fake storage was told to fail.
    #[error("injected fault: {attempt} of disk {disk}")]
    Injected {
        /// What was attempted.
        attempt: &'static str,
        /// Which.
        disk: DiskUuid,
    },
}

impl StorageError {
    /// What kind of failure it is for others.
    #[must_use]
    pub fn code(&self) -> FaultCode {
        match self {
            Self::WrongTemplate { .. }
            | Self::PathNotAllowed { .. }
            | Self::BadSize { .. }
            | Self::OutOfDisk { .. }
            | Self::ImageTooLarge { .. }
            | Self::BadImage { .. } => FaultCode::WrongInput,
            Self::NoSpace { .. } => FaultCode::InsufficientResources,
            Self::Conflict { .. } => FaultCode::AlreadyExists,
            Self::NotFound { .. } => FaultCode::WrongState,
            Self::NotRegistered(_)
            | Self::Io { .. }
            | Self::NoThread { .. }
            | Self::Injected { .. } => FaultCode::EnvironmentError,
        }
    }
}

/// Whether a part is within a disk.
pub(crate) fn check_part(disk: &Disk, offset: MiB, size: MiB) -> Result<(), StorageError> {
    match offset.0.checked_add(size.0) {
        Some(end) if end <= disk.size.0 => Ok(()),
        _ => Err(StorageError::OutOfDisk { offset, size, disk_size: disk.size }),
    }
}
