//! `gantry cluster issue-certificate`

use std::path::PathBuf;

use clap::ValueEnum;
use gantry_wire::Role;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// What the holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HolderRole {
    /// Everything.
    Admin,
    /// Look.
    Reader,
}

/// Make a certificate for somebody on another machine
///
/// Key, certificate and the authorities to believe are written into a directory that only its owner
/// can read. It is a state directory for commands with --endpoint, and may be copied to wherever
/// these run. The certificate is valid for a year; `gantry cluster renew-crypto
/// --new-cluster-certificate` takes its power at once, as that of all others.
///
/// Example: gantry cluster issue-certificate --role reader --out /root/for-monitoring monitoring
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// For whom; stands in the log of the master
    holder: String,
    /// What the holder may do
    #[arg(long, value_enum)]
    role: HolderRole,
    /// The directory for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let Args { holder, role, out } = args;
    let role = match role {
        HolderRole::Admin => Role::Admin,
        HolderRole::Reader => Role::Reader,
    };
    let issued = ctx.client().await?.issue_certificate(role, &holder, &out).await?;
    ctx.set_document(json!({
        "role": role.as_str(),
        "id": issued.id.to_string(),
        "directory": out.display().to_string(),
        "endpoint": issued.endpoint,
    }));
    ctx.say(&format!("certificate {} of role {role} is in {}", issued.id, out.display()))?;
    ctx.say(&format!(
        "  gantry --state-dir {} --endpoint {} node list",
        out.display(),
        issued.endpoint
    ))
}
