//! When certificates are looked at, and when one is renewed.
//!
//! A daemon looks at its start, whenever the master's connection comes up (it may have missed a
//! rotation), and from time to time. What looking means is [`Renewer`]'s; this module decides and
//! waits. Deliberately absent: files, keys and messages.

use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_link::identity::CertificateLifetime;
use gantry_model::errors::Fault;
use gantry_runtime::Platform;
use tokio::sync::{Notify, watch};

use crate::assembly::becomes_true;

/// How often a daemon looks although nothing has happened. Certificates live for a year and are due
/// four months before their end, so days would do; lower asks the master for nothing, higher leaves
/// fewer attempts where clocks jump or the master is away.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// First pause after a look that failed, and after one that changed something, which is looked at
/// again. Lower hammers a master that is just restarting.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// Longest pause between attempts. Higher delays the return of a node that slept through a rotation
/// and came back before the master; lower is noise in the log.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// From this remaining life on, a certificate that cannot be renewed is warned about. It is due
/// four months before its end: half of them have passed without success then.
pub(crate) const EXPIRY_WARNING: Duration = Duration::from_secs(60 * 24 * 3600);

/// Share of each wait that is random, in percent: a thousand nodes that were started together must
/// not ask together for ever.
const JITTER_PERCENT: u64 = 20;

/// Whether a certificate is to be renewed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It is good.
    No,
    /// Two thirds of its life are over.
    Age,
    /// It is not of the authority that signs now.
    Authority,
}

impl Due {
    /// Decides from what a certificate says of itself.
    pub(crate) fn of(
        lifetime: CertificateLifetime,
        is_of_signing_authority: bool,
        now_unix_s: u64,
    ) -> Self {
        match is_of_signing_authority {
            false => Self::Authority,
            true if lifetime.is_renewal_due(now_unix_s) => Self::Age,
            true => Self::No,
        }
    }
}

/// What a look has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// All is well.
    Well,
    /// Something was replaced; it should be looked at again.
    Changed,
}

/// Whose certificates are kept fresh.
pub(crate) trait Renewer: Send + Sync {
    /// Looks, and renews what is due.
    fn look(&self) -> BoxFuture<'_, Result<Looked, Fault>>;

    /// How long the node's own certificate still lives; zero when it does not.
    fn remaining(&self) -> Duration;
}

/// Looks for ever, at once for the first time; `nudge` asks for a look before its time.
pub(crate) async fn keep_fresh(
    renewer: &dyn Renewer,
    platform: &Platform,
    nudge: &Notify,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = RETRY_FIRST;
    loop {
        let outcome = tokio::select! {
            biased;
            () = becomes_true(&mut stop) => return,
            outcome = renewer.look() => outcome,
        };
        let wait = match outcome {
            Ok(Looked::Well) => {
                pause = RETRY_FIRST;
                LOOK_INTERVAL
            }
            Ok(Looked::Changed) | Err(_) => {
                let wait = pause;
                pause = (pause * 2).min(RETRY_MAX);
                wait
            }
        };
        if let Err(fault) = outcome {
            complain(&fault, renewer.remaining());
        }
        tokio::select! {
            biased;
            () = becomes_true(&mut stop) => return,
            () = nudge.notified() => {}
            () = platform.clock().sleep(jittered(wait, platform)) => {}
        }
    }
}

fn complain(fault: &Fault, remaining: Duration) {
    let (fault, days) = (fault.one_line(), remaining.as_secs() / (24 * 3600));
    if remaining.is_zero() {
        tracing::error!(fault, "the certificate of this node has expired and cannot be renewed");
    } else if remaining < EXPIRY_WARNING {
        tracing::warn!(fault, days, "the certificate of this node will expire and is not renewed");
    } else {
        tracing::debug!(fault, days, "certificates could not be looked at");
    }
}

/// Between the wait and a fifth less.
fn jittered(wait: Duration, platform: &Platform) -> Duration {
    let less = platform.random_u64() % (JITTER_PERCENT + 1);
    wait.mul_f64(1.0 - less as f64 / 100.0)
}

#[cfg(test)]
mod tests;
