//! The demo: a whole cluster on this machine, three daemons on loopback, real guests.
//!
//! It does what a new operator would do, with the very commands: each is printed, run as a program
//! of its own, and its output shown. It waits for what it claims; a demo that cannot show something
//! fails. Needs no privileges and touches nothing outside of its directory.

mod guests;
mod stage;

use std::path::{Path, PathBuf};

use gantry_model::params::HypervisorKind;

use crate::error::DaemonError;
use guests::Guests;
use stage::Stage;

/// Where QEMU is on Debian.
const QEMU: &str = "/usr/bin/qemu-system-x86_64";

/// How the demo is to run.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Where to put it; a temporary directory if not given.
    pub directory: Option<PathBuf>,
    /// Leave it running at the end and say how to talk to it.
    pub keep: bool,
}

/// Says one line to the user.
pub type Say<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Runs the demo.
///
/// # Errors
/// When anything that it shows does not happen. What it started is stopped then, too.
pub async fn demo(options: DemoOptions, say: Say<'_>) -> Result<(), DaemonError> {
    let mut stage = Stage::set_up(options.directory.as_deref())?;
    let shown = tokio::select! {
        biased;
        shown = show(&mut stage, say) => shown,
        _ = tokio::signal::ctrl_c() => Err(DaemonError::Input("interrupted".into())),
    };
    if shown.is_ok() && options.keep {
        stage.keep(say);
        return Ok(());
    }
    let cleared = stage.tear_down(say).await;
    shown.and(cleared)
}

async fn show(stage: &mut Stage, say: Say<'_>) -> Result<(), DaemonError> {
    let hypervisor = if Path::new(QEMU).exists() {
        HypervisorKind::Kvm
    } else {
        say(&format!("{QEMU} is not there: install the Debian package qemu-system-x86."));
        say("Going on with the fake hypervisor, which runs no real guests.");
        HypervisorKind::Fake
    };
    stage.headline("A cluster of three nodes", say);
    stage.make_cluster(hypervisor, say).await?;
    let mut guests = Guests::new(hypervisor);
    guests.create(stage, say).await?;
    stage.headline("What there is now", say);
    for command in [
        &["node", "list"][..],
        &["instance", "list"],
        &["job", "list"],
        &["debug", "locks"],
        &["debug", "actors"],
    ] {
        stage.gantry(1, command, say).await?;
    }
    guests.remove_one(stage, say).await?;
    guests.survive(stage, say).await?;
    stage.headline("Done", say);
    Ok(())
}
