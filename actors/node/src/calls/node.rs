//! Calls to the node itself.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::node_calls::{
    CallOutcome, NodeDelay, NodeLeave, NodeRenewCertificate, NodeTrust, Recovery,
};

use super::CallHandler;
use crate::env::NodeEnv;

impl CallHandler for NodeDelay {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            if let Some(socket) = &self.socket {
                return env.delays.wait(socket, self.duration.into()).await;
            }
            tokio::time::sleep(self.duration.into()).await;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    /// Waiting leaves nothing behind; a wait that was cut short is waited again in full.
    fn recover<'a>(&'a self, _env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        async { Recovery::NotStarted }.boxed()
    }
}

impl CallHandler for NodeLeave {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let forgotten = env.membership.forget().await;
            forgotten.map_err(|fault| fault.within("leave the cluster"))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        async move {
            match env.membership.is_forgotten().await {
                Ok(true) => Recovery::Done(CallOutcome::default()),
                Ok(false) => Recovery::NotStarted,
                Err(fault) => Recovery::Unknown(fault.one_line()),
            }
        }
        .boxed()
    }
}

impl CallHandler for NodeTrust {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let believed = env.membership.believe(&self.bundle).await;
            believed.map_err(|fault| fault.within("store the cluster's authorities"))?;
            Ok(CallOutcome::default())
        }
        .boxed()
    }

    /// Whatever is stored, storing this is the same done once or twice.
    fn recover<'a>(&'a self, _env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        async { Recovery::NotStarted }.boxed()
    }
}

impl CallHandler for NodeRenewCertificate {
    fn act<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
            let renewed = env.membership.renew_certificate().await;
            renewed.map_err(|fault| fault.within("renew the node's certificate"))?;
            match env.membership.is_renewed(&self.authority, self.issued_from).await? {
                true => Ok(CallOutcome::default()),
                false => {
                    let text = format!("the certificate is not of authority {}", self.authority);
                    Err(Fault::new(FaultCode::WrongState, text))
                }
            }
        }
        .boxed()
    }

    /// The stored certificate says by whom and when it was made. A crash before it was stored
    /// leaves the old one, and one that nobody has.
    fn recover<'a>(&'a self, env: &'a NodeEnv) -> BoxFuture<'a, Recovery> {
        async move {
            match env.membership.is_renewed(&self.authority, self.issued_from).await {
                Ok(true) => Recovery::Done(CallOutcome::default()),
                Ok(false) => Recovery::NotStarted,
                Err(fault) => Recovery::Unknown(fault.one_line()),
            }
        }
        .boxed()
    }
}
