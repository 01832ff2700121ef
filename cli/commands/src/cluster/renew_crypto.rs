//! `gantry cluster renew-crypto` (C27)

use std::path::PathBuf;

use gantry_model::opcodes::ClusterRenewCrypto;

use crate::confirm::confirm;
use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::jobs::run_one;
use crate::options::JobArgs;

/// Replace the cluster's certificates
///
/// A new cluster certificate is a new authority; it takes new certificates for all nodes, the
/// operator and the reader. Nothing is stopped. Nodes that are off renew when they come back.
///
/// Example: gantry cluster renew-crypto --new-cluster-certificate
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Make a new authority, and new certificates for all
    #[arg(long)]
    new_cluster_certificate: bool,
    /// Make new keys and certificates for all nodes
    #[arg(long)]
    new_node_certificates: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Say more while it goes on
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    without_meaning: WithoutMeaning,
    #[command(flatten)]
    job: JobArgs,
}

/// Options of Ganeti's command for what does not exist here. Each is refused with its reason.
#[derive(Clone, Debug, clap::Args)]
struct WithoutMeaning {
    /// Refused, with the reason
    #[arg(long, hide = true)]
    new_rapi_certificate: bool,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "FILE")]
    rapi_certificate: Option<PathBuf>,
    /// Refused, with the reason
    #[arg(long, hide = true)]
    new_confd_hmac_key: bool,
    /// Refused, with the reason
    #[arg(long, hide = true)]
    new_cluster_domain_secret: bool,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "FILE")]
    cluster_domain_secret: Option<PathBuf>,
    /// Refused, with the reason
    #[arg(long, hide = true)]
    new_spice_certificate: bool,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "FILE")]
    spice_certificate: Option<PathBuf>,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "FILE")]
    spice_ca_certificate: Option<PathBuf>,
    /// Refused, with the reason
    #[arg(long, hide = true)]
    new_ssh_keys: bool,
    /// Refused, with the reason
    #[arg(long, hide = true)]
    no_ssh_key_check: bool,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "BITS")]
    ssh_key_bits: Option<String>,
    /// Refused, with the reason
    #[arg(long, hide = true, value_name = "TYPE")]
    ssh_key_type: Option<String>,
}

const NO_RAPI: &str = "the remote API has no certificate of its own yet";
const NO_CONFD: &str = "there is no confd whose key could be replaced";
const NO_MOVES: &str = "instances cannot be moved between clusters yet, which is what it is for";
const NO_SPICE: &str = "SPICE consoles are not supported";
const NO_SSH: &str = "nodes talk over mutual TLS and have no ssh keys";

impl WithoutMeaning {
    /// The first that was given, and why it cannot be done.
    fn first(&self) -> Option<(&'static str, &'static str)> {
        [
            (self.new_rapi_certificate, "--new-rapi-certificate", NO_RAPI),
            (self.rapi_certificate.is_some(), "--rapi-certificate", NO_RAPI),
            (self.new_confd_hmac_key, "--new-confd-hmac-key", NO_CONFD),
            (self.new_cluster_domain_secret, "--new-cluster-domain-secret", NO_MOVES),
            (self.cluster_domain_secret.is_some(), "--cluster-domain-secret", NO_MOVES),
            (self.new_spice_certificate, "--new-spice-certificate", NO_SPICE),
            (self.spice_certificate.is_some(), "--spice-certificate", NO_SPICE),
            (self.spice_ca_certificate.is_some(), "--spice-ca-certificate", NO_SPICE),
            (self.new_ssh_keys, "--new-ssh-keys", NO_SSH),
            (self.no_ssh_key_check, "--no-ssh-key-check", NO_SSH),
            (self.ssh_key_bits.is_some(), "--ssh-key-bits", NO_SSH),
            (self.ssh_key_type.is_some(), "--ssh-key-type", NO_SSH),
        ]
        .into_iter()
        .find_map(|(given, option, why)| given.then_some((option, why)))
    }
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    if let Some((option, why)) = args.without_meaning.first() {
        return Err(CommandError::argument(format!("{option} cannot be used: {why}")));
    }
    if !args.new_cluster_certificate && !args.new_node_certificates {
        let text = "nothing to renew: give --new-cluster-certificate or --new-node-certificates";
        return Err(CommandError::argument(text));
    }
    if !args.force && !args.job.submit.plan {
        let question = "This replaces the certificates of all nodes and may take some time. \
                        Credentials that were\ncopied to other machines may not be accepted any \
                        more.\nContinue?";
        if !confirm(ctx, question, "Renew the cluster's certificates").await? {
            let declined = CommandError::new(CommandErrorKind::Declined, Failure::Declined);
            return Err(declined.hint("--force asks no question"));
        }
    }
    let op = ClusterRenewCrypto {
        node_certificates: args.new_node_certificates,
        cluster_certificate: args.new_cluster_certificate,
        verbose: args.verbose,
        ..ClusterRenewCrypto::default()
    };
    let request = ctx.request(op, &args.job.op());
    run_one(ctx, request, args.job.submit).await?;
    Ok(())
}
