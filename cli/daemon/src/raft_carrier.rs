//! Carries the messages of the log between its holders, over the link.

use std::time::Duration;

use futures_util::future::BoxFuture;
use gantry_model::ids::NodeUuid;
use gantry_runtime::{Actor, Context, Handler, Protocol, Reply, SpawnOptions, System, Thread};
use gantry_store::{RaftReply, RaftRequest, RaftTransport, Store, TransportError};
use gantry_wire::{ActorPath, AskError};

use crate::error::DaemonError;

fn raft_path() -> ActorPath {
    ActorPath::new("/raft").expect("a valid path")
}

/// The sending side.
pub(crate) struct RaftCarrier {
    system: System,
}

impl RaftCarrier {
    pub(crate) fn new(system: System) -> Self {
        Self { system }
    }
}

impl RaftTransport for RaftCarrier {
    fn send(
        &self,
        to: NodeUuid,
        request: RaftRequest,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<RaftReply, TransportError>> {
        let asked = self.system.remote::<RaftRequest>(to.into(), raft_path()).ask(request, timeout);
        Box::pin(async move {
            asked.await.map_err(|error| match error {
                AskError::NotDelivered(why) => {
                    TransportError::Unreachable { reason: why.to_string() }
                }
                AskError::NotStarted(_) | AskError::Unknown(_) => TransportError::Timeout,
            })
        })
    }
}

/// The receiving side: hands what comes to the log. Owns nothing; the log answers.
struct RaftActor {
    store: Store,
}

impl Actor for RaftActor {
    const KIND: &'static str = "raft";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<RaftRequest>()
    }
}

impl Handler<RaftRequest> for RaftActor {
    fn handle(&mut self, message: RaftRequest, reply: Reply<RaftReply>, ctx: &mut Context<Self>) {
        let store = self.store.clone();
        ctx.spawn_then(async move { store.handle(message).await }, move |_, answer, _| {
            reply.send(answer);
        });
    }
}

/// Makes the receiving side of this node.
pub(crate) fn receive(system: &System, store: &Store) -> Result<(), DaemonError> {
    let store = store.clone();
    let options = SpawnOptions { thread: Thread::Control, ..SpawnOptions::default() };
    system
        .spawn(raft_path(), options, move || RaftActor { store: store.clone() })
        .map(drop)
        .map_err(DaemonError::part("start the carrier of the log"))
}
