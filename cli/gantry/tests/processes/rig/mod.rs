//! What the tests stand on: a place, programs in it, and a cluster made of them.

mod cluster;
mod place;
mod program;
mod waiting;

pub(crate) use cluster::{Cluster, Launch, path};
pub(crate) use place::Place;
pub(crate) use program::{Finished, GANTRY, Program};
pub(crate) use waiting::{eventually, eventually_within, now_us};

use std::io::Write as _;
use std::path::Path;

/// Where Debian has it.
const QEMU: &str = "/usr/bin/qemu-system-x86_64";

/// Whether real guests can be had. Says aloud when a test is skipped for the want of them.
pub(crate) fn has_qemu() -> bool {
    let there = Path::new(QEMU).exists();
    if !there {
        skipped(&format!("{QEMU} is missing, install the Debian package qemu-system-x86"));
    }
    there
}

/// Whether we may do what only root may.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says that the rest of a test is left out, and why.
pub(crate) fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    say(&format!("SKIPPED {name}: {why}"));
}

/// Past the capture of output, which would keep it from those who look at a run that succeeds.
pub(crate) fn say(text: &str) {
    // Without standard error there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{text}"));
}
