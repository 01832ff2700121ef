//! What does a question from an actor in one process to an actor in another cost?
//!
//! Over the QUIC link with mutual TLS, beside plain quinn and beside raw UDP, each with a far side
//! of its own.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use gantry_runtime::{
    Actor, ActorRef, Ask, Context, Handler, LocalRef, Protocol, QuickNode, Reply, SpawnOptions,
    Thread,
};
use gantry_wire::{Access, ActorPath, Message};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::child::{Served, cpu_us, tell_parent, wait_for_parent};
use crate::harness::{Budget, Figure, Options, median};
use crate::quinn_peer::QuinnPeer;
use crate::udp_peer::UdpPeer;

const ROUND_TRIPS: usize = 1_000;
const PIPELINED: usize = 20_000;
const IN_FLIGHT: usize = 256;
const ONE_WAY: usize = 20_000;
/// Messages without an answer before one with: less than a mailbox holds, so that none is refused.
const BURST: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// The near node and the far one.
const NEAR: u64 = 1;
const FAR: u64 = 2;

/// About a hundred bytes, of the kinds that our messages are made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    number: u64,
    wants_answer: bool,
    name: String,
    #[serde(with = "as_bytes")]
    payload: Vec<u8>,
}

/// Bytes as bytes: a list of numbers would cost twice as much.
mod as_bytes {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        bytes::Bytes::copy_from_slice(bytes).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        bytes::Bytes::deserialize(from).map(Vec::from)
    }
}

impl Record {
    pub(crate) fn numbered(number: u64) -> Self {
        let name = "instance1.example.org".to_owned();
        Self { number, wants_answer: true, name, payload: vec![7; 24] }
    }

    /// The same, saying whether it is to be answered.
    pub(crate) fn wanting_answer(self, wants_answer: bool) -> Self {
        Self { wants_answer, ..self }
    }

    pub(crate) fn wants_answer(&self) -> bool {
        self.wants_answer
    }

    /// The answer.
    pub(crate) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl Message for Record {
    const WIRE_NAME: &'static str = "bench.record";
    const ACCESS: Access = Access::Peer;
    type Reply = Record;
}

/// What many messages cost, each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    wall_us: f64,
    near_cpu_us: f64,
    far_cpu_us: f64,
}

impl Flow {
    pub(crate) fn of(n: usize, wall_us: f64, near_cpu_us: f64, far_cpu_us: f64) -> Self {
        let n = n as f64;
        let (near_cpu_us, far_cpu_us) = (near_cpu_us / n, far_cpu_us / n);
        Self { wall_us: wall_us / n, near_cpu_us, far_cpu_us }
    }
}

struct Echo;

impl Actor for Echo {
    const KIND: &'static str = "echo";
    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<Record>()
    }
}

impl Handler<Record> for Echo {
    fn handle(&mut self, message: Record, reply: Reply<Record>, _ctx: &mut Context<Self>) {
        reply.send(message.next());
    }
}

fn echo_path() -> anyhow::Result<ActorPath> {
    ActorPath::new("/echo").context("a path")
}

fn control() -> SpawnOptions {
    SpawnOptions { thread: Thread::Control, ..SpawnOptions::default() }
}

pub(crate) fn serve(dir: &Path) -> anyhow::Result<()> {
    let node = QuickNode::start(dir, FAR)?;
    node.system.spawn(echo_path()?, control(), || Echo)?;
    tell_parent(&node.addr.to_string())?;
    wait_for_parent();
    Ok(())
}

/// An actor that asks, and the far side.
struct Asker {
    actor: LocalRef<Echo>,
    there: ActorRef<Record>,
    _node: QuickNode,
    far: Served,
}

impl Asker {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let node = QuickNode::start(dir, NEAR)?;
        let far = Served::start(&["actor", dir.to_str().context("a path that is no text")?])?;
        node.know(FAR, far.line.parse()?);
        let actor = node.system.spawn(ActorPath::new("/asker")?, control(), || Echo)?;
        let there = node.system.remote::<Record>(QuickNode::node_id(FAR), echo_path()?);
        Ok(Self { actor, there, _node: node, far })
    }

    /// Runs `work` as a future of the asking actor.
    fn run<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(ActorRef<Record>) -> F + Send + 'static,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>> + 'static,
    {
        let (tell, told) = mpsc::channel();
        let there = self.there.clone();
        self.actor.act(move |_, ctx| {
            ctx.spawn_then(work(there), move |_, answer, _| {
                // The receiver waits for it below.
                let _received = tell.send(answer);
            });
        })?;
        told.recv().context("the asking actor failed")?
    }

    fn round_trips_us(&self, n: usize) -> anyhow::Result<Vec<f64>> {
        self.run(move |there| async move {
            let mut all = Vec::with_capacity(n);
            for number in 0..n as u64 {
                let start = Instant::now();
                there.ask(Record::numbered(number), PATIENCE).await?;
                all.push(start.elapsed().as_nanos() as f64 / 1e3);
            }
            Ok(all)
        })
    }

    fn flow<F>(
        &self,
        n: usize,
        work: impl FnOnce(ActorRef<Record>) -> F + Send + 'static,
    ) -> anyhow::Result<Flow>
    where
        F: Future<Output = anyhow::Result<()>> + 'static,
    {
        let (near, far) = (cpu_us(std::process::id())?, self.far.cpu_us()?);
        let start = Instant::now();
        self.run(work)?;
        let wall_us = start.elapsed().as_nanos() as f64 / 1e3;
        let (near, far) = (cpu_us(std::process::id())? - near, self.far.cpu_us()? - far);
        Ok(Flow::of(n, wall_us, near, far))
    }

    fn pipelined(&self, n: usize, in_flight: usize) -> anyhow::Result<Flow> {
        self.flow(n, move |there| async move {
            // Answers come in the order of asks, so the oldest is the next to wait for. The peer
            // has no task for each of them either.
            let mut window = VecDeque::with_capacity(in_flight);
            for number in 0..n as u64 {
                if window.len() == in_flight
                    && let Some(oldest) = window.pop_front()
                {
                    let oldest: Ask<Record> = oldest;
                    oldest.await.context("an answer was lost")?;
                }
                window.push_back(there.ask(Record::numbered(number), PATIENCE));
            }
            for ask in window {
                ask.await.context("an answer was lost")?;
            }
            Ok(())
        })
    }

    fn one_way(&self, n: usize) -> anyhow::Result<Flow> {
        self.flow(n, move |there| async move {
            let mut n_sent = 0;
            while n_sent < n {
                let burst = BURST.min(n - n_sent);
                for number in 1..burst as u64 {
                    there.tell(Record::numbered(number))?;
                }
                there.ask(Record::numbered(0), PATIENCE).await?;
                n_sent += burst;
            }
            Ok(())
        })
    }
}

#[derive(Default)]
struct Flows {
    wall_us: Vec<f64>,
    near_cpu_us: Vec<f64>,
    far_cpu_us: Vec<f64>,
}

impl Flows {
    fn push(&mut self, flow: Flow) {
        self.wall_us.push(flow.wall_us);
        self.near_cpu_us.push(flow.near_cpu_us);
        self.far_cpu_us.push(flow.far_cpu_us);
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let n_passes = options.passes(21);
    let (ours_dir, quinn_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let udp = UdpPeer::start()?;
    let mut quinn = QuinnPeer::start(quinn_dir.path())?;
    // Made by the node itself, so that nobody else can read its keys.
    let ours = Asker::start(&ours_dir.path().join("nodes"))?;
    let mut p50s = [const { Vec::new() }; 3];
    let [mut our_asks, mut quinn_asks, mut our_tells, mut quinn_tells] =
        std::array::from_fn(|_| Flows::default());
    // The first pass opens connections and warms caches; it does not count.
    for pass in 0..=n_passes {
        let n = options.repeats(ROUND_TRIPS);
        let trips = [udp.round_trips_us(n)?, quinn.round_trips_us(n)?, ours.round_trips_us(n)?];
        let n = options.repeats(PIPELINED);
        let asks = [quinn.pipelined(n, IN_FLIGHT)?, ours.pipelined(n, IN_FLIGHT)?];
        let n = options.repeats(ONE_WAY);
        let tells = [quinn.one_way(n)?, ours.one_way(n)?];
        if pass > 0 {
            for (all, one) in p50s.iter_mut().zip(trips) {
                all.push(median(&one));
            }
            quinn_asks.push(asks[0]);
            our_asks.push(asks[1]);
            quinn_tells.push(tells[0]);
            our_tells.push(tells[1]);
        }
    }
    let [udp, quinn, ours] = p50s;
    let mut figures = vec![
        Figure::of_passes("ask one by one, p50", "us", &ours, ("raw UDP echo", &udp))
            .budget(Budget::RatioMax(4.5)),
        Figure::of_passes("ask one by one, p50", "us", &ours, ("plain quinn, mTLS", &quinn)),
    ];
    figures.extend(flow_figures("256 asks in flight", &our_asks, &quinn_asks, Some(1.5)));
    figures.extend(flow_figures("one-way messages", &our_tells, &quinn_tells, None));
    Ok(figures)
}

fn flow_figures(what: &str, ours: &Flows, quinn: &Flows, cpu_us_max: Option<f64>) -> [Figure; 3] {
    let figure = |part: &str, ours: &[f64], quinn: &[f64]| {
        Figure::of_passes(format!("{what}, {part}"), "us", ours, ("plain quinn, mTLS", quinn))
    };
    let cpu = |figure: Figure| match cpu_us_max {
        Some(max) => figure.budget(Budget::Max(max)),
        None => figure,
    };
    [
        figure("wall each", &ours.wall_us, &quinn.wall_us),
        cpu(figure("CPU each, near side", &ours.near_cpu_us, &quinn.near_cpu_us)),
        cpu(figure("CPU each, far side", &ours.far_cpu_us, &quinn.far_cpu_us)),
    ]
}
