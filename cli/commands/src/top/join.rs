//! `gantry join`

use serde_json::json;

use crate::cluster::init::address_argument;
use crate::context::Context;
use crate::error::CommandError;
use crate::machine::JoinArgs;

/// Make this machine a node of a cluster
///
/// The token comes from `gantry node add NAME` on any node of the cluster; it is good for one node
/// and for a limited time. Start the daemon afterwards.
///
/// Example: gantry join --address 192.0.2.12:1811 gantry-join-1.0a1b2c
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen here and be reached here by the other nodes
    ///
    /// The default is the address of the node's name, with port 1811.
    #[arg(long, value_name = "HOST:PORT", value_parser = address_argument)]
    address: Option<String>,
    /// The token that `gantry node add` printed
    token: String,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let state_dir = ctx.state_dir();
    let machine = ctx.machine.clone();
    let join = JoinArgs { state_dir: state_dir.clone(), address: args.address, token: args.token };
    let joined = machine.join(join).await?;
    ctx.set_document(json!({
        "cluster": joined.cluster,
        "node_name": joined.node_name,
        "address": joined.address,
    }));
    ctx.say(&format!("Joined cluster {} as node {}", joined.cluster, joined.node_name))?;
    ctx.say(&format!("Start its daemon with: gantry daemon --state-dir {}", state_dir.display()))
}
