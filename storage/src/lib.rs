//! Disk storage: the trait, file, diskless, fake, the conformance suite.
//!
//! It owns: what a storage promises ([`Storage`]), the one per template on a node
//! ([`StorageRegistry`]), image files ([`FileStorage`]), nothing at all ([`DisklessStorage`]),
//! disks that are only records ([`fake`]), and the tests that every storage passes
//! ([`conformance`]). Called by the node's disk actors.
//!
//! Deliberately absent: hypervisors (a disk is handed on as a [`DiskLink`]), names of new disks
//! (they arrive in the [`Disk`](gantry_model::objects::Disk)), actors, the configuration.

mod allowed_paths;
pub mod conformance;
mod contract;
mod diskless;
mod error;
pub mod fake;
mod file;
mod image;
mod registry;

pub use allowed_paths::AllowedPaths;
pub use contract::{Capabilities, DiskIntent, DiskLink, DiskReport, Storage, StorageInfo};
pub use diskless::DisklessStorage;
pub use error::StorageError;
pub use file::FileStorage;
pub use image::image_size;
pub use registry::StorageRegistry;
