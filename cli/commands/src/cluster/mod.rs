//! `gantry cluster`, `gnt-cluster`

mod destroy;
mod getmaster;
mod info;
pub(crate) mod init;
mod issue_certificate;
mod master_failover;
mod master_ping;
mod modify;
mod renew_crypto;
mod search_tags;
mod tags;
mod version;

use crate::context::Context;
use crate::error::CommandError;

/// Commands on the cluster itself.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ClusterCommand {
    // In a box because it is much larger than the others.
    Init(Box<init::Args>),
    #[command(visible_alias = "show")]
    Info(info::Args),
    Getmaster(getmaster::Args),
    MasterFailover(master_failover::Args),
    MasterPing(master_ping::Args),
    Modify(modify::Args),
    IssueCertificate(issue_certificate::Args),
    Version(version::Args),
    Destroy(destroy::Args),
    // In a box for the same reason.
    RenewCrypto(Box<renew_crypto::Args>),
    AddTags(tags::AddArgs),
    RemoveTags(tags::RemoveArgs),
    ListTags(tags::ListArgs),
    SearchTags(search_tags::Args),
}

impl ClusterCommand {
    pub(crate) async fn run(self, ctx: &mut Context<'_>) -> Result<(), CommandError> {
        match self {
            Self::Init(args) => init::run(ctx, *args).await,
            Self::Info(args) => info::run(ctx, args).await,
            Self::Getmaster(_) => getmaster::run(ctx).await,
            Self::MasterFailover(args) => master_failover::run(ctx, args).await,
            Self::Modify(args) => modify::run(ctx, args).await,
            Self::MasterPing(_) => master_ping::run(ctx).await,
            Self::IssueCertificate(args) => issue_certificate::run(ctx, args).await,
            Self::Version(_) => version::run(ctx).await,
            Self::Destroy(args) => destroy::run(ctx, args).await,
            Self::RenewCrypto(args) => renew_crypto::run(ctx, *args).await,
            Self::AddTags(args) => tags::add(ctx, args).await,
            Self::RemoveTags(args) => tags::remove(ctx, args).await,
            Self::ListTags(args) => tags::list(ctx, args).await,
            Self::SearchTags(args) => search_tags::run(ctx, args).await,
        }
    }
}
