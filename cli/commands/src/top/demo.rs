//! `gantry demo`

use std::path::PathBuf;

use std::io::Write as _;

use crate::context::Context;
use crate::error::CommandError;
use crate::machine::DemoArgs;

/// Show a whole cluster at work on this machine
///
/// Three daemons on loopback, joined, with two real QEMU guests; one guest is stopped and removed,
/// one daemon is killed and comes back while its guest goes on. It uses the very commands of this
/// program and prints them. Needs no privileges, changes nothing outside of its directory, and
/// without QEMU goes on with the fake hypervisor.
///
/// Example: gantry demo --keep
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the cluster running at the end and print how to talk to it
    #[arg(long)]
    keep: bool,
    /// Put everything here in place of a temporary directory
    ///
    /// The path must be short: sockets of guests are below it, and their paths are limited.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let demo = DemoArgs { directory: args.directory, keep: args.keep };
    let machine = ctx.machine.clone();
    let out = if ctx.json() { &mut ctx.io.stderr } else { &mut ctx.io.stdout };
    // A demo whose output nobody reads goes on: its cluster may be in use.
    let mut say = |line: &str| drop(writeln!(out, "{line}").and_then(|()| out.flush()));
    Ok(machine.demo(demo, &mut say).await?)
}
