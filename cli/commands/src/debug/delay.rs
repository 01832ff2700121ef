//! `gantry debug delay` (C33)

use gantry_model::names::NodeName;
use gantry_model::opcodes::TestDelay;
use gantry_model::query::Resource;
use gantry_model::units::Millis;

use crate::context::Context;
use crate::error::CommandError;
use crate::jobs::run_one;
use crate::options::JobArgs;
use crate::parse::duration::parse_seconds;
use crate::parse::number::whole_number;

/// Run a job that only waits
///
/// Example: gantry debug delay -n node1.example 2.5
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Wait so many seconds; fractions down to milliseconds are allowed
    #[arg(value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Millis,
    /// Do not wait on the master, only on the nodes given
    #[arg(long)]
    no_master: bool,
    /// Wait on this node as well; may be given several times
    #[arg(short = 'n', long = "node", value_name = "NODE")]
    nodes: Vec<NodeName>,
    /// Wait so often; 0 is once, without numbering
    #[arg(short, long, value_name = "N", default_value_t = 0,
        value_parser = whole_number::<u32>(0, 1_000_000, "a whole number from 0 to 1000000"))]
    repeat: u32,
    /// Take no locks while waiting
    #[arg(short = 'l', long)]
    no_locks: bool,
    /// Wait on the master only, at a socket that the job's log names: whoever connects and sends a
    /// byte, or closes the connection, ends the job
    #[arg(short, long)]
    interruptible: bool,
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let nodes: Vec<String> = args.nodes.iter().map(ToString::to_string).collect();
    ctx.typed(Resource::Node, &nodes);
    let op = TestDelay {
        duration: args.duration,
        on_master: !args.no_master,
        on_nodes: args.nodes,
        repeat: args.repeat,
        no_locks: args.no_locks,
        interruptible: args.interruptible,
    };
    let request = ctx.request(op, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}
