//! Three receivers of the same message on one thread: our actor, a plain actix actor, a raw tokio
//! task.
//!
//! All of them and their client are tasks of the control thread of one real node, as in a daemon. A
//! root future would pay for a poll of the event queue at every wake-up.

use std::time::Duration;

use anyhow::Context as _;
use gantry_runtime::{
    Actor, ActorRef, Context, Handler, MailboxLimits, Platform, Protocol, RealConfig, Reply,
    SpawnOptions, System, SystemConfig,
};
use gantry_wire::{Access, ActorPath, BootId, Message, NodeId};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// No ask waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Add(pub(crate) u64);

impl Message for Add {
    const WIRE_NAME: &'static str = "bench.add";
    const ACCESS: Access = Access::Peer;
    type Reply = u64;
}

#[derive(Default)]
struct Sum(u64);

impl Actor for Sum {
    const KIND: &'static str = "sum";
    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<Add>()
    }
}

impl Handler<Add> for Sum {
    fn handle(&mut self, message: Add, reply: Reply<u64>, _ctx: &mut Context<Self>) {
        self.0 += message.0;
        reply.send(self.0);
    }
}

#[derive(Default)]
pub(crate) struct PlainSum(u64);

pub(crate) struct PlainAdd(pub(crate) u64);

impl actix::Message for PlainAdd {
    type Result = u64;
}

impl actix::Actor for PlainSum {
    type Context = actix::Context<Self>;
}

impl actix::Handler<PlainAdd> for PlainSum {
    type Result = u64;
    fn handle(&mut self, message: PlainAdd, _ctx: &mut actix::Context<Self>) -> u64 {
        self.0 += message.0;
        self.0
    }
}

/// What the raw task receives: a number, and where the sum is wanted.
pub(crate) type RawAdd = (u64, Option<oneshot::Sender<u64>>);

async fn raw_sum(mut queue: mpsc::UnboundedReceiver<RawAdd>) {
    let mut sum = 0;
    while let Some((number, reply)) = queue.recv().await {
        sum += number;
        if let Some(reply) = reply {
            // Who asked may be gone.
            let _gone = reply.send(sum);
        }
    }
}

/// Refs to the three.
pub(crate) struct Receivers {
    pub(crate) ours: ActorRef<Add>,
    pub(crate) actix: actix::Addr<PlainSum>,
    pub(crate) raw: mpsc::UnboundedSender<RawAdd>,
}

impl Receivers {
    fn start(system: &System) -> anyhow::Result<Self> {
        // The peers' queues have no bound either.
        let mailbox = MailboxLimits { messages: usize::MAX, bytes: usize::MAX };
        let options = SpawnOptions { mailbox, ..SpawnOptions::default() };
        let ours = system.spawn(ActorPath::new("/sum")?, options, Sum::default)?;
        let (raw, queue) = mpsc::unbounded_channel();
        tokio::task::spawn_local(raw_sum(queue));
        Ok(Self { ours: ours.to::<Add>(), actix: actix::Actor::start(PlainSum::default()), raw })
    }
}

/// Runs `work` with the three receivers, on their thread.
pub(crate) fn on_one_thread<T, F>(
    work: impl FnOnce(Receivers) -> F + Send + 'static,
) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let platform = Platform::real(RealConfig { workers: 0, ..RealConfig::default() })?;
    let id = Uuid::from_u128(1);
    let system = System::new(platform.clone(), SystemConfig { node: NodeId(id), boot: BootId(id) });
    let (tell, told) = oneshot::channel();
    system.clone().spawn_task(async move {
        tokio::task::spawn_local(async move {
            let answer = match Receivers::start(&system) {
                Ok(receivers) => Ok(work(receivers).await),
                Err(error) => Err(error),
            };
            // The receiver waits for it below.
            let _received = tell.send(answer);
        });
    });
    let answer = told.blocking_recv().context("the measuring task ended without an answer");
    platform.stop();
    answer?
}
