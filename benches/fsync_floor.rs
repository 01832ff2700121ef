//! What the disk itself takes: a small record appended and made durable.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::harness::us_of;

const RECORD: [u8; 200] = [7; 200];

pub(crate) struct FsyncFloor(File);

impl FsyncFloor {
    /// In this directory, which must be on the disk in question.
    pub(crate) fn start(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("floor");
        let file = OpenOptions::new().append(true).create(true).open(&path);
        Ok(Self(file.with_context(|| format!("open {}", path.display()))?))
    }

    /// One append with `fdatasync`, in milliseconds.
    pub(crate) fn append_ms(&mut self) -> anyhow::Result<f64> {
        let (us, done) = us_of(|| self.0.write_all(&RECORD).and_then(|()| self.0.sync_data()));
        done.context("append to the floor file")?;
        Ok(us / 1e3)
    }
}
