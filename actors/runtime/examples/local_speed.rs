//! Local tell and ask against plain actix, interleaved on one thread: the ratios of design.md
//! section 12. Only a release build says anything.

use std::time::Duration;

use gantry_runtime::{
    Actor, Context, Handler, LocalRef, MailboxLimits, Platform, Protocol, Reply, SpawnOptions,
    System, SystemConfig,
};
use gantry_wire::{Access, ActorPath, BootId, Message, NodeId};
use tokio::time::Instant;
use uuid::Uuid;

const TELLS: u64 = 200_000;
const ASKS: u64 = 50_000;
const ROUNDS: usize = 9;

#[derive(serde::Serialize, serde::Deserialize)]
struct Add(u64);

impl Message for Add {
    const WIRE_NAME: &'static str = "speed.add";
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
struct PlainSum(u64);

struct PlainAdd(u64);

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

/// Nanoseconds each of `n` took.
async fn timed(n: u64, work: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_nanos() as f64 / n as f64
}

async fn actix_round(plain: &actix::Addr<PlainSum>) -> [f64; 2] {
    let tell = timed(TELLS, async {
        for n in 0..TELLS {
            plain.do_send(PlainAdd(n));
        }
        plain.send(PlainAdd(0)).await.expect("it lives");
    });
    let ask = async {
        for n in 0..ASKS {
            plain.send(PlainAdd(n)).await.expect("it lives");
        }
    };
    [tell.await, timed(ASKS, ask).await]
}

async fn our_round(ours: &LocalRef<Sum>) -> [f64; 2] {
    let (to, patience) = (ours.to::<Add>(), Duration::from_secs(10));
    let tell = timed(TELLS, async {
        for n in 0..TELLS {
            to.tell(Add(n)).expect("room");
        }
        to.ask(Add(0), patience).await.expect("it lives");
    });
    let ask = async {
        for n in 0..ASKS {
            to.ask(Add(n), patience).await.expect("it lives");
        }
    };
    [tell.await, timed(ASKS, ask).await]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn compare(system: System) -> String {
    let path = ActorPath::new("/sum").expect("valid");
    let mailbox = MailboxLimits { messages: usize::MAX, bytes: usize::MAX };
    let options = SpawnOptions { mailbox, ..SpawnOptions::default() };
    let ours = system.spawn(path, options, Sum::default).expect("a free path");
    let plain = actix::Actor::start(PlainSum::default());
    let mut rounds = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let [tell, ask] = actix_round(&plain).await;
        let [our_tell, our_ask] = our_round(&ours).await;
        for (all, one) in rounds.iter_mut().zip([tell, our_tell, ask, our_ask]) {
            all.push(one);
        }
    }
    let [tell, our_tell, ask, our_ask] = rounds.map(median);
    format!(
        "tell: actix {tell:.0} ns, ours {our_tell:.0} ns, ratio {:.2}\n\
         ask:  actix {ask:.0} ns, ours {our_ask:.0} ns, ratio {:.2}",
        our_tell / tell,
        our_ask / ask
    )
}

#[expect(clippy::print_stdout, reason = "an example shows its result")]
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let local = tokio::task::LocalSet::new();
    let compared = local.block_on(&runtime.expect("an event loop"), async {
        let id = Uuid::from_u128(1);
        let config = SystemConfig { node: NodeId(id), boot: BootId(id) };
        // A simulated node shares the caller's thread; its clock runs on here, unpaused.
        let system = System::new(Platform::simulated(1), config);
        let (tell, told) = tokio::sync::oneshot::channel();
        // Both peers and their client are tasks of that node: all wake-ups are alike. A root future
        // would pay for the poll of the event queue at every one.
        system.clone().spawn_task(async move {
            tokio::task::spawn_local(async move { tell.send(compare(system).await) });
        });
        told.await
    });
    println!("{}", compared.expect("it compares"));
}
