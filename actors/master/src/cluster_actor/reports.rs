//! The picture: reports of nodes, their connections, their addresses.

use std::sync::Arc;

use gantry_link::PeerEvent;
use gantry_model::errors::Fault;
use gantry_model::ids::NodeUuid;
use gantry_model::messages::{Report, ReportAck};
use gantry_runtime::{Context, Handler, Reply, Sender};
use gantry_wire::Role;
use tokio::sync::broadcast::error::RecvError;

use super::ClusterActor;

impl Handler<Report> for ClusterActor {
    fn handle(
        &mut self,
        message: Report,
        reply: Reply<Result<ReportAck, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let sender_is_node = match &ctx.delivery().from {
            Sender::Peer(peer) => peer.node == message.node.into(),
            Sender::Local => message.node == self.context.config.node,
        };
        if !sender_is_node || !self.is_member(message.node) {
            reply.send(Ok(ReportAck::NotAMember));
            return;
        }
        self.sightings.note(&message);
        reply.send(Ok(self.picture.report(message)));
        self.write_transitions_later(ctx);
    }
}

impl ClusterActor {
    /// Follows the connections of nodes: what a disconnected one has said is old.
    pub(super) fn watch_nodes(&self, ctx: &mut Context<Self>) {
        let mut events = ctx.system().watch_nodes();
        let actor = ctx.local();
        ctx.spawn_then(
            async move {
                loop {
                    match events.recv().await {
                        Ok(PeerEvent::Down { node, boot, reason, .. }) => {
                            tracing::info!(%node, reason, "node disconnected");
                            let told = actor.act(move |cluster, _| {
                                let of_this_run = cluster
                                    .picture
                                    .node(node.into())
                                    .is_some_and(|known| known.boot == boot);
                                if of_this_run {
                                    cluster.picture.disconnected(node.into());
                                }
                            });
                            if told.is_err() {
                                return;
                            }
                        }
                        Ok(PeerEvent::Up(_)) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    }
                }
            },
            |_, (), _| {},
        );
    }

    /// Tells the link where the nodes of the configuration are.
    pub(super) fn learn_addresses(&mut self, ctx: &mut Context<Self>) {
        let Some(link) = ctx.system().link() else { return };
        let state = self.context.state();
        let gone: Vec<_> = link
            .peers()
            .into_iter()
            .filter(|peer| !state.nodes.contains_key(&NodeUuid::from(peer.node)))
            .filter(|peer| matches!(peer.role, Role::Node | Role::Candidate))
            .map(|peer| peer.node)
            .collect();
        for node in gone {
            self.picture.forget(node.into());
            link.forget(node);
        }
        for node in state.nodes.values().filter(|node| node.uuid != self.context.config.node) {
            let (node, link) = (Arc::clone(node), Arc::clone(&link));
            ctx.spawn_then(
                async move {
                    match tokio::net::lookup_host(&node.address).await {
                        Ok(addrs) => link.know(node.uuid.into(), addrs.collect()),
                        Err(error) => {
                            tracing::warn!(node = %node.name, address = node.address, %error,
                                "address of the node not found");
                        }
                    }
                },
                |_, (), _| {},
            );
        }
    }
}
