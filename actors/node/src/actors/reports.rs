//! Driving the feed: measures, sends reports to the leader, waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gantry_link::PeerEvent;
use gantry_model::messages::{Report, ReportAck, cluster_path};
use gantry_runtime::Context;
use gantry_wire::Role;
use tokio::sync::broadcast;

use super::node::NodeActor;
use crate::facts;
use crate::feed::{FeedEffect, FeedEvent};

/// How often the node is measured without a cause. The report that follows also finds a new leader,
/// which otherwise hears of this node at its next event. Lower costs a small message per node and
/// look; higher leaves free memory and disk in lists older than that.
const INFO_INTERVAL: Duration = Duration::from_secs(10);

/// How long effects are collected before the node is measured because of them. Lower measures for
/// each disk of a new instance, higher shows old numbers longer.
const INFO_DELAY: Duration = Duration::from_millis(500);

/// How long the leader has to take a report. It takes one in milliseconds; longer than a change of
/// leader, so that a report that arrives just then is not sent twice for nothing.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

impl NodeActor {
    /// Begins to report. The first effect of the feed is a full report.
    pub(super) fn begin_reports(&mut self, ctx: &mut Context<Self>) {
        self.follow_peers(ctx.system().watch_nodes(), ctx);
        self.follow_effects(ctx);
        self.measure_later(ctx);
        self.feed(FeedEvent::Reconnected, ctx);
    }

    /// Tells the feed, and does what it wants.
    pub(crate) fn feed(&mut self, event: FeedEvent, ctx: &mut Context<Self>) {
        let Some(feed) = &mut self.feed else { return };
        let effects = feed.step(event);
        self.env.feed_next.store(feed.next(), Ordering::Relaxed);
        for effect in effects {
            match effect {
                FeedEffect::Send { attempt, first, events } => {
                    let boot = ctx.system().boot();
                    let report = Report { node: self.env.node, boot, first, events };
                    self.report(attempt, report, ctx);
                }
                FeedEffect::Wake { timer, after } => {
                    ctx.after(after, move |actor, ctx| {
                        actor.feed(FeedEvent::Woke { timer }, ctx);
                    })
                    .detach();
                }
            }
        }
    }

    fn report(&self, attempt: u64, report: Report, ctx: &mut Context<Self>) {
        let cluster = ctx.system().actor_ref::<Report>(cluster_path());
        let asked = cluster.ask(report, REPORT_TIMEOUT);
        ctx.spawn_then(asked, move |actor, answer, ctx| {
            let event = match answer {
                Ok(Ok(ack)) => {
                    match ack {
                        ReportAck::NotAMember => {
                            tracing::warn!("the leader says that this node is not in the cluster");
                        }
                        ReportAck::Next(_) => drop(actor.env.reported.send_replace(true)),
                        ReportAck::Full => {}
                    }
                    FeedEvent::Answered { attempt, ack }
                }
                Ok(Err(fault)) => {
                    let why = fault.one_line();
                    tracing::debug!(why, "the leader refused a report");
                    FeedEvent::Failed { attempt }
                }
                Err(error) => {
                    tracing::debug!(%error, "a report was not answered");
                    FeedEvent::Failed { attempt }
                }
            };
            actor.feed(event, ctx);
        });
    }

    /// A candidate that connects may be a leader that knows nothing of us.
    fn follow_peers(&self, mut peers: broadcast::Receiver<PeerEvent>, ctx: &mut Context<Self>) {
        let next = async move {
            let event = peers.recv().await;
            (peers, event)
        };
        ctx.spawn_then(next, |actor, (peers, event), ctx| {
            let reconnected = match event {
                Ok(PeerEvent::Up(peer)) => peer.role == Role::Candidate,
                Ok(PeerEvent::Down { .. }) => false,
                Err(broadcast::error::RecvError::Lagged(_)) => true,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if reconnected {
                actor.feed(FeedEvent::Reconnected, ctx);
            }
            actor.follow_peers(peers, ctx);
        });
    }

    /// Measures when effects have changed what is left.
    fn follow_effects(&self, ctx: &mut Context<Self>) {
        let env = Arc::clone(&self.env);
        let changed = async move {
            env.resources_changed.notified().await;
            tokio::time::sleep(INFO_DELAY).await;
        };
        ctx.spawn_then(changed, |actor, (), ctx| {
            actor.measure(ctx);
            actor.follow_effects(ctx);
        });
    }

    fn measure_later(&mut self, ctx: &mut Context<Self>) {
        self.tick = Some(ctx.after(INFO_INTERVAL, |actor, ctx| {
            actor.measure(ctx);
            actor.measure_later(ctx);
        }));
    }

    pub(super) fn measure(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.measuring, true) {
            return;
        }
        let (env, memory) = (Arc::clone(&self.env), self.memory_of_guests());
        let measure = async move { facts::node_info(&env, memory, facts::WHOLE_ANSWER).await };
        ctx.spawn_then(measure, |actor, measured, ctx| {
            actor.measuring = false;
            match measured {
                Ok(info) => actor.feed(FeedEvent::Info(info), ctx),
                Err(fault) => {
                    let why = fault.one_line();
                    tracing::warn!(why, "the node could not be measured");
                }
            }
        });
    }
}
