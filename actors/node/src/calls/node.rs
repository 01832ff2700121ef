//! Calls to the node itself.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gantry_model::errors::Fault;
use gantry_model::node_calls::{CallOutcome, NodeDelay, NodeLeave, Recovery};

use super::CallHandler;
use crate::env::NodeEnv;

impl CallHandler for NodeDelay {
    fn act<'a>(&'a self, _env: &'a NodeEnv) -> BoxFuture<'a, Result<CallOutcome, Fault>> {
        async move {
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
