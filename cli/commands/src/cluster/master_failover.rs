//! `gantry cluster master-failover` (C13, P81)

use gantry_model::names::NodeName;
use gantry_model::query::Resource;
use serde_json::json;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Make another node the master
///
/// The present master hands over; jobs go on under the new one. Run it on the node that is to be
/// the master, or name one with --to. A master that is gone needs no command: the candidates choose
/// another by themselves within seconds, as long as a majority of those that vote is there.
///
/// Example: gantry cluster master-failover --to node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Make this node the master; the default is the one on which the command runs
    #[arg(long, value_name = "NODE")]
    to: Option<NodeName>,
    /// Refused: without a majority nobody can tell whether there is another master
    #[arg(long)]
    no_voting: bool,
    /// Without effect: nothing is asked
    #[arg(long, visible_alias = "ya-rly")]
    yes_do_it: bool,
    /// Without effect: nodes that are offline do not vote
    #[arg(long, value_name = "yes|no")]
    ignore_offline_nodes: Option<String>,
}

const NO_VOTING: &str = "--no-voting is refused: a master without a majority could lose what \
    another has acknowledged, or run guests twice";

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    if args.no_voting {
        let hint = "candidates that vote and are there choose a master by themselves; bring back \
                    so many that they are a majority";
        return Err(CommandError::argument(NO_VOTING).hint(hint));
    }
    let client = ctx.client().await?;
    let old = client.cluster().await?.master;
    let name = target(ctx, args.to)?;
    ctx.typed(Resource::Node, &[name.to_string()]);
    let node = client.node_uuid(name.as_str()).await?;
    if node == old.uuid {
        let text = format!(
            "This commands must be run on the node where you want the new master to be. {} is \
             already the master",
            old.name
        );
        let error = CommandError::new(CommandErrorKind::Failed, Failure::Sentence(text));
        return Err(error.hint("name another node with --to"));
    }
    client.fail_master_over(node).await?;
    let new = client.cluster().await?.master.name;
    ctx.set_document(json!({"master": new, "old_master": old.name}));
    if ctx.json() { Ok(()) } else { ctx.say(&format!("The master is {new} now.")) }
}

/// The node that was named, or that of this machine.
fn target(ctx: &Context<'_>, to: Option<NodeName>) -> Result<NodeName, CommandError> {
    if let Some(name) = to {
        return Ok(name);
    }
    let refuse = |text| CommandError::argument(text).hint("name the new master with --to");
    if ctx.globals.endpoint.is_some() {
        return Err(refuse("--endpoint names a daemon to ask, not the new master"));
    }
    let here = ctx.machine.node_name(&ctx.state_dir());
    here.ok_or_else(|| refuse("this machine is no node of the cluster"))
}
