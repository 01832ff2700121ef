//! `/node/<uuid>`: the node itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gantry_hv::HvEvent;
use gantry_model::errors::Fault;
use gantry_model::facts::Fact;
use gantry_model::messages::{
    ActorRow, CallNode, FollowMaster, GatherFacts, InstallReign, LogHeld, QueryActors, QueryFlight,
    QueryLinks, ReignInstalled, StallRow,
};
use gantry_model::node_calls::{CallTarget, NodeCall};
use gantry_model::params::HypervisorKind;
use gantry_model::report::NodeInfo;
use gantry_model::units::{MiB, Millis, Timestamp};
use gantry_runtime::{Actor, ActorInfo, Context, Handler, Protocol, Reply, TimerHandle};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::guests::{AllGuests, GuestLooks, list_all};
use crate::calls::{Answer, CALLS_WAITING_MAX, CallActor, CallDesk, take_call};
use crate::env::NodeEnv;
use crate::facts;
use crate::feed::FeedState;

/// First and longest wait before the guests are looked for again when that failed at the start.
/// Lower asks a hypervisor that is itself starting too often; higher leaves the node out of the
/// cluster that much longer.
const ADOPT_RETRY_FIRST: Duration = Duration::from_millis(200);
const ADOPT_RETRY_MAX: Duration = Duration::from_secs(10);

/// How long the answer to a node's own leaving may take on its way before the daemon stops. Lower
/// may cut it off, and its sender would have to guess; higher only delays the stop.
const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// How far the node has come.
#[derive(Clone, Debug)]
pub(crate) enum Readiness {
    /// It looks for guests of an earlier run.
    Adopting,
    /// That failed, and is tried again.
    NotYet(Fault),
    /// It knows all guests and takes calls.
    Ready,
}

/// The node. Owns the list of its guests and the feed to the leader; the leader and jobs send to
/// it; it tells instance actors to look again, and reports to `/cluster`. When it dies it is made
/// again and looks at the world anew; its new feed goes on with the numbers of the old one and
/// begins with a full report.
pub(crate) struct NodeActor {
    pub(super) env: Arc<NodeEnv>,
    pub(super) desk: CallDesk,
    /// `None` until the guests are adopted: messages are held back until then.
    pub(super) feed: Option<FeedState>,
    pub(super) looks: GuestLooks,
    pub(super) measuring: bool,
    pub(super) tick: Option<TimerHandle>,
    pub(super) relist: Option<TimerHandle>,
    readiness: watch::Sender<Readiness>,
}

impl NodeActor {
    pub(crate) fn new(env: Arc<NodeEnv>, readiness: watch::Sender<Readiness>) -> Self {
        Self {
            env,
            desk: CallDesk::new(CALLS_WAITING_MAX),
            feed: None,
            looks: GuestLooks::default(),
            measuring: false,
            tick: None,
            relist: None,
            readiness,
        }
    }

    /// Finds the guests of an earlier run. Nothing else is handled meanwhile.
    fn adopt(&mut self, retry: Duration, ctx: &mut Context<Self>) {
        let env = Arc::clone(&self.env);
        ctx.hold_then(find_all(env), move |actor, found, ctx| match found {
            Ok((info, all)) => actor.adopted(info, all, ctx),
            Err(fault) => {
                let why = fault.one_line();
                tracing::error!(why, "guests of an earlier run could not be looked for");
                actor.readiness.send_replace(Readiness::NotYet(fault));
                let wait = async move { tokio::time::sleep(retry).await };
                ctx.hold_then(wait, move |actor, (), ctx| {
                    actor.adopt((retry * 2).min(ADOPT_RETRY_MAX), ctx);
                });
            }
        });
    }

    fn adopted(&mut self, info: NodeInfo, all: AllGuests, ctx: &mut Context<Self>) {
        let AllGuests { guests, unreadable } = all;
        tracing::info!(n_guests = guests.len(), "guests were adopted");
        self.log_unreadable(&unreadable);
        for guest in &guests {
            self.tell_instance(guest.instance, true, ctx);
        }
        let some_left_out = info.hypervisors.len() < self.env.hypervisors.iter().count();
        let first = self.env.feed_next.load(Ordering::Relaxed);
        self.feed = Some(FeedState::new(info, guests, unreadable, first));
        self.begin_reports(ctx);
        if some_left_out {
            self.measure(ctx);
        }
        self.relist_later(ctx);
        self.readiness.send_replace(Readiness::Ready);
    }

    /// Follows the events of one hypervisor.
    fn follow(
        &self,
        kind: HypervisorKind,
        mut events: broadcast::Receiver<HvEvent>,
        ctx: &mut Context<Self>,
    ) {
        let next = async move {
            let event = events.recv().await;
            (events, event)
        };
        ctx.spawn_then(next, move |actor, (events, event), ctx| {
            match event {
                Ok(event) => actor.guest_changed(kind, &event, ctx),
                Err(broadcast::error::RecvError::Lagged(n_missed)) => {
                    tracing::info!(%kind, n_missed, "events of guests were missed");
                    actor.list_guests(ctx);
                }
                // The hypervisor is gone with the node's configuration; nothing will come.
                Err(broadcast::error::RecvError::Closed) => return,
            }
            actor.follow(kind, events, ctx);
        });
    }

    pub(super) fn memory_of_guests(&self) -> MiB {
        self.feed.as_ref().map_or(MiB(0), FeedState::memory_of_guests)
    }
}

async fn find_all(env: Arc<NodeEnv>) -> Result<(NodeInfo, AllGuests), Fault> {
    let all = list_all(&env).await?;
    let memory = MiB(all.guests.iter().map(|guest| guest.memory.0).sum());
    Ok((facts::node_info(&env, memory, facts::START_PATIENCE).await?, all))
}

impl Actor for NodeActor {
    const KIND: &'static str = "node";

    fn protocol() -> Protocol<Self> {
        Protocol::new()
            .on::<CallNode>()
            .on::<InstallReign>()
            .on::<FollowMaster>()
            .on::<GatherFacts>()
            .on::<QueryActors>()
            .on::<QueryFlight>()
            .on::<QueryLinks>()
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.readiness.send_replace(Readiness::Adopting);
        // Subscribed before looking, so that no change between the two is missed.
        for hypervisor in self.env.hypervisors.iter() {
            self.follow(hypervisor.kind(), hypervisor.events(), ctx);
        }
        self.adopt(ADOPT_RETRY_FIRST, ctx);
    }
}

impl CallActor for NodeActor {
    fn desk(&mut self) -> &mut CallDesk {
        &mut self.desk
    }

    fn env(&self) -> &Arc<NodeEnv> {
        &self.env
    }

    fn target(&self) -> CallTarget {
        CallTarget::Node
    }

    fn call_ended(&mut self, message: &CallNode, answer: Option<&Answer>, ctx: &mut Context<Self>) {
        if let (NodeCall::NodeLeave(_), Some(Ok(_))) = (&message.call, answer) {
            ctx.after(LEAVE_GRACE, |actor, _| actor.env.membership.left()).detach();
        }
    }
}

impl Handler<CallNode> for NodeActor {
    fn handle(&mut self, message: CallNode, reply: Reply<Answer>, ctx: &mut Context<Self>) {
        take_call(self, message, reply, ctx);
    }
}

impl Handler<InstallReign> for NodeActor {
    fn handle(
        &mut self,
        message: InstallReign,
        reply: Reply<Result<ReignInstalled, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let (env, reign) = (Arc::clone(&self.env), message.reign);
        let install = async move {
            let install = move |journal: &crate::journal::Journal| {
                journal.install_reign(message.reign, &message.steps)
            };
            env.journal("install a reign", install).await
        };
        ctx.spawn_then(install, move |_, installed, _| {
            if installed.is_ok() {
                tracing::info!(%reign, "a reign is installed");
            }
            let answer = match installed {
                Ok(results) => Ok(ReignInstalled { results }),
                Err(error) => Err(error.fault(&format!("install reign {reign}"))),
            };
            reply.send(answer);
        });
    }
}

impl Handler<FollowMaster> for NodeActor {
    fn handle(
        &mut self,
        message: FollowMaster,
        reply: Reply<Result<LogHeld, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let env = Arc::clone(&self.env);
        let following = async move {
            let FollowMaster { reign, master, address, hold_log } = message;
            // Whoever led before may still say so; the journal knows better.
            let install =
                move |journal: &crate::journal::Journal| journal.install_reign(reign, &[]);
            let installed = env.journal("install a reign", install).await;
            installed
                .map_err(|error| error.fault(&format!("follow the master of reign {reign}")))?;
            env.membership.follow_master(master, &address, hold_log).await
        };
        ctx.spawn_then(following, move |_, held, _| reply.send(held));
    }
}

impl Handler<GatherFacts> for NodeActor {
    fn handle(
        &mut self,
        message: GatherFacts,
        reply: Reply<Result<Vec<Fact>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let memory_guests = self.memory_of_guests();
        let answers = message
            .queries
            .into_iter()
            .map(|query| facts::answer(Arc::clone(&self.env), query, memory_guests));
        let gather = futures_util::future::join_all(answers);
        // Nobody would hear a later answer.
        let until = ctx.delivery().deadline;
        let gather = async move { tokio::time::timeout_at(until, gather).await };
        ctx.spawn_then(gather, move |_, facts, _| {
            if let Ok(facts) = facts {
                reply.send(Ok(facts));
            }
        });
    }
}

impl Handler<QueryActors> for NodeActor {
    fn handle(
        &mut self,
        _: QueryActors,
        reply: Reply<Result<Vec<ActorRow>, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        let (node, clock) = (self.env.name.as_str(), ctx.system().platform().clock());
        let now = (clock.now(), clock.wall());
        reply.send(Ok(ctx.system().actors().iter().map(|info| row(node, info, now)).collect()));
    }
}

/// `now` on both clocks: people know only the wall's.
fn row(node: &str, info: &ActorInfo, (now, wall): (Instant, Duration)) -> ActorRow {
    let in_us = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    ActorRow {
        node: node.to_owned(),
        path: info.path.to_string(),
        mailbox: info.mailbox_messages,
        handled: info.handled,
        restarts: u64::from(info.restarts),
        slowest: info.slowest.first().map(|(name, took)| ((*name).to_owned(), in_us(*took))),
        stalls: u64::from(info.stalls),
        last_stall: info.last_stall.map(|stall| StallRow {
            during: stall.during.to_owned(),
            since: Timestamp(in_us(wall.saturating_sub(now.duration_since(stall.since)))),
            took: Millis(in_us(stall.took) / 1000),
            is_over: stall.is_over,
        }),
    }
}

#[cfg(test)]
mod tests {
    use gantry_runtime::{Stall, Thread};
    use gantry_wire::ActorPath;

    use super::*;

    #[test]
    fn people_are_told_of_a_stall_in_wall_time() {
        let since = Instant::now();
        let stall = Stall {
            during: "node.call",
            since,
            took: Duration::from_micros(700_900),
            is_over: true,
        };
        let info = ActorInfo {
            path: ActorPath::new("/node/1").expect("valid"),
            kind: "node",
            parent: None,
            thread: Thread::Control,
            mailbox_messages: 0,
            mailbox_bytes: 0,
            handled: 7,
            restarts: 0,
            stalls: 3,
            last_stall: Some(stall),
            is_down: false,
            busy: None,
            slowest: Vec::new(),
        };
        let later = Duration::from_secs(40);
        let row = row("node1.example", &info, (since + later, Duration::from_secs(1000)));
        let expected = StallRow {
            during: "node.call".to_owned(),
            since: Timestamp(960_000_000),
            took: Millis(700),
            is_over: true,
        };
        assert_eq!((row.stalls, row.last_stall), (3, Some(expected)));
    }
}
