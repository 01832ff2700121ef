//! The cluster key on the leader: the secrets that the log carries, and another key for them.
//!
//! Called at the beginning of a reign, and by whoever demotes a candidate. Deliberately absent: how
//! secrets are sealed, which the daemon's [`CertificateSigner`](crate::CertificateSigner) knows.

use gantry_model::errors::Fault;
use gantry_model::ids::KeyGeneration;

use crate::context::MasterContext;

/// Brings into the log what is only in files of this node, then removes the files. A reign goes on
/// without: it can do all but certify.
pub(crate) async fn found(context: &MasterContext) {
    if let Err(fault) = try_found(context).await {
        tracing::error!(
            fault = fault.one_line(),
            "the cluster's authority cannot be used; nothing can be certified"
        );
    }
}

async fn try_found(context: &MasterContext) -> Result<(), Fault> {
    let changes = context.keys("look for the cluster's authority", |k, s| k.found(s)).await?;
    if !changes.is_empty() {
        context.change_trust(changes).await?;
        tracing::info!("the authority's key was sealed into the log");
    }
    context.keys("clear away keys that are in the log", |keys, state| keys.settled(state)).await
}

/// Another cluster key: every secret is sealed anew, and who has only the old key can open none.
/// To be called when a full candidate is demoted, after it has left the group.
pub(crate) async fn rotate(context: &MasterContext) -> Result<KeyGeneration, Fault> {
    let change =
        context.keys("seal the secrets anew", |keys, state| keys.next_cluster_key(state)).await?;
    context.change_trust(vec![change]).await?;
    context.keys("forget the old cluster key", |keys, state| keys.settled(state)).await?;
    Ok(context.state().trust.key_generation)
}
