//! `gantry node modify` (C113)

use gantry_model::names::NodeName;
use gantry_model::opcodes::NodeSetParams;
use gantry_model::query::Resource;
use serde_json::Value;

use crate::cluster::init::{KeyValuesArgument, key_values_argument};
use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::run_one;
use crate::options::{Choice, JobArgs};
use crate::parse::keyval::{KeyValues, parse_named_key_values};
use crate::plain_params::{
    changed_node_parameters, disk_states, hypervisor_states, replication_address,
};

/// Change a node
///
/// A node has one role at a time: it is a master candidate, drained, offline, or none of these.
/// A candidate holds the cluster's state; when it ceases to be one the command ends as soon as the
/// node may be switched off. The role of the master changes with `gantry cluster master-failover`.
///
/// Example: gantry node modify --drained yes node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which
    #[arg(value_name = "NODE")]
    node_name: NodeName,
    /// Make it a master candidate, or no more
    #[arg(short = 'C', long, value_name = "yes|no", hide_possible_values = true)]
    master_candidate: Option<Choice>,
    /// Give it no new instances, or some again
    #[arg(short = 'D', long, value_name = "yes|no", hide_possible_values = true)]
    drained: Option<Choice>,
    /// Talk to it no more, or again
    #[arg(short = 'O', long, value_name = "yes|no", hide_possible_values = true)]
    offline: Option<Choice>,
    /// Let it become a master candidate, or no more
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    master_capable: Option<Choice>,
    /// Let it run instances, or no more
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    vm_capable: Option<Choice>,
    /// Make another node a candidate in its place, if that is needed
    #[arg(long)]
    auto_promote: bool,
    /// Replicate disks over this address of the node (not acted on yet)
    #[arg(short, long, value_name = "ADDRESS")]
    secondary_ip: Option<String>,
    /// Set parameters of the node; `default` is what the cluster has (not acted on yet)
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    node_parameters: Option<KeyValuesArgument>,
    /// Note that it is powered, or not; refused: no node has a power switch that is known yet
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    node_powered: Option<Choice>,
    /// Say what a hypervisor has of the node (not acted on yet)
    #[arg(long, value_name = "HV:KEY=VALUE,...", value_parser = parse_named_key_values)]
    hypervisor_state: Vec<(String, KeyValues)>,
    /// Say what a storage has of the node (not acted on yet)
    #[arg(long, value_name = "TYPE/NAME:KEY=VALUE,...", value_parser = parse_named_key_values)]
    disk_state: Vec<(String, KeyValues)>,
    /// Do not ask; for the master also: let it be the first or last node with a second address
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    job: JobArgs,
}

const NOTHING: &str = "Please give at least one of the parameters.";

const ONLINE: &str = "You are setting this node online manually. If the configuration has \
    changed, this can cause issues such as split brain. To safely bring a node back online, \
    please use --readd instead. If you are confident that the configuration hasn't changed, \
    continue?";

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    ctx.typed(Resource::Node, &[args.node_name.to_string()]);
    let op = opcode(&args)?;
    if op.changes_nothing() {
        let nothing = Failure::Sentence(NOTHING.to_owned());
        return Err(CommandError::new(CommandErrorKind::Failed, nothing));
    }
    if op.offline == Some(false) && !args.force && !confirm(ctx, ONLINE, "Set it online").await? {
        return Err(CommandError::new(CommandErrorKind::Failed, Failure::NothingFound));
    }
    let name = op.node_name.clone();
    let request = ctx.request(op, &args.job.op());
    let Some(end) = run_one(ctx, request, args.job.submit).await? else { return Ok(()) };
    let changes = end.results.first().and_then(Value::as_array).cloned().unwrap_or_default();
    if ctx.json() || changes.is_empty() {
        return Ok(());
    }
    ctx.say(&format!("Modified node {name}"))?;
    for change in changes {
        if let [Value::String(param), Value::String(value)] =
            change.as_array().map_or(&[][..], Vec::as_slice)
        {
            ctx.say(&format!(" - {param:<5} -> {value}"))?;
        }
    }
    Ok(())
}

fn opcode(args: &Args) -> Result<NodeSetParams, CommandError> {
    let is = |choice: Option<Choice>| choice.map(|choice| choice == Choice::Yes);
    let some = |states: crate::plain_params::States| (!states.is_empty()).then_some(states);
    Ok(NodeSetParams {
        node_name: args.node_name.clone(),
        force: args.force,
        master_candidate: is(args.master_candidate),
        offline: is(args.offline),
        drained: is(args.drained),
        auto_promote: args.auto_promote,
        master_capable: is(args.master_capable),
        vm_capable: is(args.vm_capable),
        secondary_ip: args.secondary_ip.as_deref().map(replication_address).transpose()?,
        ndparams: args.node_parameters.as_ref().map(changed_node_parameters).transpose()?,
        powered: is(args.node_powered),
        hv_state: some(hypervisor_states(&args.hypervisor_state)?),
        disk_state: some(disk_states(&args.disk_state)?),
    })
}
