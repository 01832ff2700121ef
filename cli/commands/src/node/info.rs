//! `gantry node info` (C110)

use gantry_model::query::Resource;

use crate::context::Context;
use crate::error::CommandError;
use crate::options::RomanArgs;
use crate::output::info::Info;
use crate::output::json::table_document;
use crate::records::{Record, filled, records};

const FIELDS: [&str; 12] = [
    "name",
    "pip",
    "sip",
    "master_candidate",
    "drained",
    "offline",
    "master_capable",
    "vm_capable",
    "pinst_list",
    "sinst_list",
    "ndparams",
    "custom_ndparams",
];

/// Show the configuration of nodes
///
/// Example: gantry node info node1.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only these; the default is all
    #[arg(value_name = "NODE")]
    names: Vec<String>,
    #[command(flatten)]
    roman: RomanArgs,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Node, &args.names);
    let client = ctx.client().await?;
    let table = client.query(Resource::Node, &FIELDS, &args.names).await?;
    if ctx.json() {
        ctx.set_document(table_document(&table));
        return Ok(());
    }
    let nodes: Vec<Info> = records(&table).map(|node| tree(&node)).collect();
    ctx.print(&args.roman.of(Info::List(nodes)).to_text())
}

fn tree(node: &Record<'_>) -> Info {
    let flag = |field: &str| Info::flag(node.flag(field).unwrap_or_default());
    let list = |field: &str| Info::List(node.items(field).iter().map(Info::json).collect());
    // Title, the field it needs, value. What the cluster does not know is left out, not made up.
    let entries = vec![
        ("Node name", "name", Info::text(node.text("name"))),
        ("primary ip", "pip", Info::text(node.text("pip"))),
        ("secondary ip", "sip", Info::text(node.text("sip"))),
        ("master candidate", "master_candidate", flag("master_candidate")),
        ("drained", "drained", flag("drained")),
        ("offline", "offline", flag("offline")),
        ("master_capable", "master_capable", flag("master_capable")),
        ("vm_capable", "vm_capable", flag("vm_capable")),
        ("primary for instances", "pinst_list", list("pinst_list")),
        ("secondary for instances", "sinst_list", list("sinst_list")),
        ("node parameters", "ndparams", filled(node, "ndparams", "custom_ndparams")),
    ];
    let known = entries.into_iter().filter(|(_, field, _)| node.knows(field));
    Info::map(known.map(|(title, _, value)| (title, value)).collect())
}
