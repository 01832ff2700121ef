//! `gantry cluster version` (C15)
//!
//! Ganeti's six lines; programs cut them at the colon. What they say of this cluster:
//!
//! - software version: of the master's program;
//! - internode protocol: the newest version of the hello that the master offers to other nodes;
//! - configuration format: the committed level of the replicated state, which rises only when every
//!   holder of the log supports it;
//! - OS api version, export interface: 0 as long as there are no OS scripts and no exports;
//! - VCS version: what the build was told in `GANTRY_VCS_VERSION`, and otherwise the release.

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// Print the versions of the master's daemon
///
/// That of this program is printed by `gantry --version`.
///
/// Example: gantry cluster version
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let info = ctx.client().await?.cluster().await?;
    let vcs = info.vcs_version();
    let versions = &info.versions;
    if ctx.json() {
        ctx.set_document(json!({
            "software_version": info.software_version,
            "protocol_version": versions.protocol,
            "config_version": versions.configuration,
            "state_level": info.level,
            "os_api_version": versions.os_api,
            "export_version": versions.export,
            "vcs_version": vcs,
            "client_version": env!("CARGO_PKG_VERSION"),
        }));
        return Ok(());
    }
    ctx.say(&format!("Software version: {}", info.software_version))?;
    ctx.say(&format!("Internode protocol: {}", versions.protocol))?;
    ctx.say(&format!("Configuration format: {}", versions.configuration))?;
    ctx.say(&format!("OS api version: {}", versions.os_api))?;
    ctx.say(&format!("Export interface: {}", versions.export))?;
    ctx.say(&format!("VCS version: {vcs}"))
}
