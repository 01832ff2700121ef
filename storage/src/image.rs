//! Images: files on a node that are copied onto disks.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gantry_host::{Blocking, run_blocking};
use gantry_model::units::MiB;

use crate::error::StorageError;

const MIB_BYTES: u64 = 1024 * 1024;

/// Bytes compared at once: large enough for a disk's throughput, small enough for any memory.
const COMPARED_BYTES: usize = 256 * 1024;

/// Size of an image, rounded up: the size of the smallest disk that holds it.
///
/// # Errors
/// When it is not a readable file.
pub async fn image_size(blocking: &dyn Blocking, image: &Path) -> Result<MiB, StorageError> {
    let image = image.to_owned();
    let bytes = run_blocking(blocking, move || open(&image).map(|(_, bytes)| bytes))
        .await
        .map_err(|source| StorageError::NoThread { attempt: "read an image", source })??;
    Ok(MiB(bytes.div_ceil(MIB_BYTES)))
}

/// Opens an image and gives its size in bytes.
pub(crate) fn open(image: &Path) -> Result<(File, u64), StorageError> {
    let bad = |source| StorageError::BadImage { path: image.to_owned(), source };
    if !image.is_absolute() {
        return Err(bad(None));
    }
    let file = File::open(image).map_err(|source| bad(Some(source)))?;
    let metadata = file.metadata().map_err(|source| bad(Some(source)))?;
    if !metadata.is_file() {
        return Err(bad(None));
    }
    Ok((file, metadata.len()))
}

/// Whether a disk begins with an image.
pub(crate) fn begins_with(disk: &mut File, image: &mut File, bytes: u64) -> io::Result<bool> {
    let mut left = bytes;
    let mut of_disk = vec![0; COMPARED_BYTES];
    let mut of_image = vec![0; COMPARED_BYTES];
    while left > 0 {
        let n_bytes = left.min(COMPARED_BYTES as u64) as usize;
        disk.read_exact(&mut of_disk[..n_bytes])?;
        image.read_exact(&mut of_image[..n_bytes])?;
        if of_disk[..n_bytes] != of_image[..n_bytes] {
            return Ok(false);
        }
        left -= n_bytes as u64;
    }
    Ok(true)
}
