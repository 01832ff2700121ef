//! `gantry node add` (C106): makes the token; the node itself does the rest with `gantry join`.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::GroupUuid;
use gantry_model::messages::TokenIssue;
use gantry_model::names::NodeName;
use gantry_model::objects::{NodeGroup, NodeTerms};
use gantry_model::units::Millis;
use serde_json::json;

use crate::cluster::init::{KeyValuesArgument, key_values_argument};
use crate::context::{Context, DEFAULT_STATE_DIR};
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::machine::DEFAULT_PORT;
use crate::options::{Choice, Priority};
use crate::output::time::format_time;
use crate::parse::ParseError;
use crate::parse::duration::parse_duration;
use crate::parse::keyval::{KeyValues, parse_named_key_values};
use crate::plain_params::{
    disk_states, hypervisor_states, own_node_parameters, replication_address,
};
use crate::suggest::nearest;

/// Let a machine join the cluster as a node
///
/// It prints a one-time token and the command to run on that machine. Whoever has the token can
/// become this node, once, until it expires.
///
/// Example: gantry node add --valid 2h node2.example
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the new node
    node_name: NodeName,
    /// Accept the token for so long
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = valid_argument)]
    valid: Millis,
    /// Put it into this group, by name or id; needed where there are several
    #[arg(short = 'g', long, value_name = "GROUP")]
    node_group: Option<String>,
    /// Let it become a master candidate; the default is yes
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    master_capable: Option<Choice>,
    /// Let it run instances; the default is yes
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    vm_capable: Option<Choice>,
    /// Replicate disks over this address of the node (not acted on yet)
    #[arg(short, long, value_name = "ADDRESS")]
    secondary_ip: Option<String>,
    /// Set parameters of the node (not acted on yet)
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = key_values_argument)]
    node_parameters: Option<KeyValuesArgument>,
    /// Say what a hypervisor has of the node (not acted on yet)
    #[arg(long, value_name = "HV:KEY=VALUE,...", value_parser = parse_named_key_values)]
    hypervisor_state: Vec<(String, KeyValues)>,
    /// Say what a storage has of the node (not acted on yet)
    #[arg(long, value_name = "TYPE/NAME:KEY=VALUE,...", value_parser = parse_named_key_values)]
    disk_state: Vec<(String, KeyValues)>,
    /// Without effect: nodes talk with certificates, ssh is not used
    #[arg(long)]
    no_ssh_key_check: bool,
    /// Without effect: nodes talk with certificates, ssh is not used
    #[arg(long)]
    no_node_setup: bool,
    /// Without effect: a machine joins by itself, and not while it is in another cluster
    #[arg(long)]
    force_join: bool,
    /// Without effect: all there is to say is said
    #[arg(short, long)]
    verbose: bool,
    /// Say how urgent the job is that adds the node when it comes
    #[arg(long, value_enum, default_value_t = Priority::Normal, hide_default_value = true)]
    priority: Priority,
    /// Take a node again that is in the cluster (not available yet, refused)
    #[arg(long)]
    readd: bool,
}

/// A token that has expired when it is printed helps nobody.
fn valid_argument(text: &str) -> Result<Millis, ParseError> {
    let refuse = || ParseError::new("time", text, "more than 0");
    parse_duration(text).and_then(|time| if time.0 > 0 { Ok(time) } else { Err(refuse()) })
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    if args.readd {
        let text = "--readd is not available yet: a node that is in the cluster cannot be taken \
                    again";
        return Err(CommandError::argument(text).hint(readd_hint(&args.node_name)));
    }
    if args.no_ssh_key_check || args.no_node_setup {
        ctx.warn("Note: ssh is not used: nodes talk with certificates.")?;
    }
    let terms = terms(ctx, &args).await?;
    let reason = ctx.reason();
    let name = args.node_name;
    let (valid, priority) = (args.valid, args.priority.number());
    let wanted = TokenIssue { node_name: name.clone(), valid, terms, priority, reason };
    let issued = ctx.client().await?.issue_token(&wanted).await;
    let issued = issued.map_err(|error| match error.fault() {
        Some(fault) if fault.code == FaultCode::AlreadyExists => already(&name),
        _ => error.into(),
    })?;
    let join = format!(
        "gantry join --state-dir {DEFAULT_STATE_DIR} --address {name}:{DEFAULT_PORT} {}",
        issued.token
    );
    if ctx.json() {
        ctx.set_document(json!({
            "node_name": name,
            "token": issued.token,
            "expires_us": issued.expires.0,
            "command": join,
        }));
        return Ok(());
    }
    let expires = format_time(issued.expires, &ctx.io.time_zone);
    ctx.say(&format!("Token for node {name}, good until {expires}:"))?;
    ctx.say(&format!("\n  {}\n", issued.token))?;
    ctx.say(&format!("Run on {name}, as root:"))?;
    ctx.say(&format!("\n  {join}\n  gantry daemon --state-dir {DEFAULT_STATE_DIR}\n"))?;
    ctx.say("Where the node keeps its state and how it is reached may be changed there.")
}

fn readd_hint(name: &NodeName) -> String {
    format!("remove it with `gantry node remove {name}`, then add it")
}

/// In Ganeti's words.
fn already(name: &NodeName) -> CommandError {
    let text =
        format!("Node {name} already in the cluster (as {name}) - please retry with '--readd'");
    CommandError::new(CommandErrorKind::Failed, Failure::Sentence(text))
        .hint(format!("--readd is not available yet: {}", readd_hint(name)))
}

async fn terms(ctx: &mut Context<'_>, args: &Args) -> Result<NodeTerms, CommandError> {
    let terms = NodeTerms {
        group: None,
        master_capable: args.master_capable != Some(Choice::No),
        vm_capable: args.vm_capable != Some(Choice::No),
        secondary_ip: args.secondary_ip.as_deref().map(replication_address).transpose()?,
        ndparams: own_node_parameters(args.node_parameters.as_ref())?,
        hv_state: hypervisor_states(&args.hypervisor_state)?,
        disk_state: disk_states(&args.disk_state)?,
    };
    let Some(typed) = &args.node_group else { return Ok(terms) };
    let groups = ctx.client().await?.cluster().await?.groups;
    Ok(NodeTerms { group: Some(find_group(&groups, typed)?), ..terms })
}

fn find_group(groups: &[NodeGroup], typed: &str) -> Result<GroupUuid, CommandError> {
    let meant =
        |group: &&NodeGroup| group.name.as_str() == typed || group.uuid.to_string() == typed;
    if let Some(group) = groups.iter().find(meant) {
        return Ok(group.uuid);
    }
    let text = format!("Node group '{typed}' not found");
    let error = CommandError::from(Fault::new(FaultCode::UnknownEntity, text));
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    Err(match nearest(typed, &names) {
        Some(near) => error.hint(format!("did you mean '{near}' in place of '{typed}'?")),
        None => error.hint(format!("there are: {}", names.join(", "))),
    })
}
