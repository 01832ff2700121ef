//! `gantry node add` (C106): makes the token; the node itself does the rest with `gantry join`.

use gantry_model::names::NodeName;
use gantry_model::units::Millis;
use serde_json::json;

use crate::context::{Context, DEFAULT_STATE_DIR};
use crate::error::CommandError;
use crate::machine::DEFAULT_PORT;
use crate::output::time::format_time;
use crate::parse::ParseError;
use crate::parse::duration::parse_duration;

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
}

/// A token that has expired when it is printed helps nobody.
fn valid_argument(text: &str) -> Result<Millis, ParseError> {
    let refuse = || ParseError::new("time", text, "more than 0");
    parse_duration(text).and_then(|time| if time.0 > 0 { Ok(time) } else { Err(refuse()) })
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let issued = client.issue_token(args.node_name.clone(), args.valid).await?;
    let name = args.node_name;
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
