//! What only real threads show.

use std::sync::mpsc;
use std::time::Duration;

use gantry_runtime::{
    BlockingClass, BlockingError, MailboxLimits, Platform, PlatformError, RealConfig, STUCK_AFTER,
    SpawnOptions, System, SystemEvent, Thread,
};
use gantry_wire::AskError;

use crate::rig::*;

/// Longest wait for another thread. Only a failure takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

fn real(workers: usize) -> System {
    let config = RealConfig { workers, ..RealConfig::default() };
    system_on(Platform::real(config).expect("threads"), 1)
}

fn on(thread: Thread) -> SpawnOptions {
    SpawnOptions { thread, ..SpawnOptions::default() }
}

/// The thread that an actor runs on.
fn thread_of(probe: &ProbeRef) -> std::thread::ThreadId {
    let (tell, told) = mpsc::channel();
    let say = move |_: &mut Probe, _: &mut gantry_runtime::Context<Probe>| {
        tell.send(std::thread::current().id()).expect("the test waits");
    };
    probe.act(say).expect("room");
    told.recv_timeout(PATIENCE).expect("the actor runs")
}

#[test]
fn actors_run_on_the_threads_that_they_were_given() {
    let system = real(2);
    let probe = |at: &str, thread| probe(&system, at, on(thread)).0;
    let control = thread_of(&probe("/probe/c", Thread::Control));
    let first = thread_of(&probe("/probe/0", Thread::Worker(0)));
    let second = thread_of(&probe("/probe/1", Thread::Worker(1)));
    let wrapped = thread_of(&probe("/probe/2", Thread::Worker(2)));
    assert_eq!(wrapped, first);
    let mut all = vec![control, first, second, std::thread::current().id()];
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn asks_cross_threads() {
    let system = real(2);
    let (probe, _) = probe(&system, "/probe/1", on(Thread::Worker(1)));
    for n in 1..=1000 {
        assert_eq!(probe.to::<Note>().ask(note("x"), PATIENCE).await, Ok(n));
    }
    assert!(system.shutdown(PATIENCE).await);
    system.platform().stop();
}

#[test]
fn nothing_is_lost_or_doubled_when_many_threads_tell_at_once() {
    let system = real(1);
    let limits = MailboxLimits { messages: 100, bytes: usize::MAX };
    let options = SpawnOptions { mailbox: limits, ..SpawnOptions::default() };
    let (probe, _) = probe(&system, "/probe/1", options);
    let tellers: Vec<_> = (0..4)
        .map(|_| {
            let to = probe.to::<Note>();
            std::thread::spawn(move || (0..5000).filter(|_| to.tell(note("x")).is_ok()).count())
        })
        .collect();
    let accepted: usize = tellers.into_iter().map(|t| t.join().expect("no panic")).sum();
    assert!(accepted >= 100);
    let (tell, told) = mpsc::channel();
    let mut say = Some(tell);
    let handled = loop {
        // The mailbox may still be full: the count comes when there is room.
        let Some(tell) = say.take() else { unreachable!("given back on refusal") };
        let again = tell.clone();
        let sent = probe.act(move |_, ctx| {
            let handled = ctx.system().actors()[0].handled;
            tell.send(handled).expect("the test waits");
        });
        match sent {
            Ok(()) => break told.recv_timeout(PATIENCE).expect("the actor runs"),
            Err(_) => say = Some(again),
        }
        std::thread::yield_now();
    };
    // One turn more: `started`.
    assert_eq!(handled, accepted as u64 + 1);
}

#[tokio::test]
async fn a_thread_that_ends_resolves_every_ask() {
    let system = real(1);
    let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
    let started = probe.to::<Later>().ask(Later(3_600_000), PATIENCE);
    assert_eq!(probe.to::<Note>().ask(note("x"), PATIENCE).await, Ok(1));
    system.platform().stop();
    let outcome = started.await;
    assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    assert!(system.stop_and_wait(path("/probe/1"), PATIENCE).await, "it is forgotten too");
}

#[tokio::test]
async fn blocking_work_runs_elsewhere_and_its_actor_goes_on() {
    let system = real(1);
    let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
    let (release, wait) = mpsc::channel();
    let (tell, told) = tokio::sync::oneshot::channel();
    probe
        .act(move |_, ctx| {
            let here = std::thread::current().id();
            let work = ctx.blocking(BlockingClass::Disk, "wait for the test", move || {
                wait.recv_timeout(PATIENCE).expect("the test goes on");
                std::thread::current().id()
            });
            ctx.spawn_then(work, move |_, there, _| {
                assert!(tell.send(there.map(|there| there == here)).is_ok());
            });
        })
        .expect("room");
    assert_eq!(probe.to::<Note>().ask(note("meanwhile"), PATIENCE).await, Ok(1));
    release.send(()).expect("the work waits");
    assert_eq!(told.await, Ok(Ok(false)));
}

#[tokio::test]
async fn a_full_pool_refuses_and_a_late_place_is_not_taken() {
    let platform = Platform::real(RealConfig { workers: 0, ..RealConfig::default() });
    let platform = platform.expect("threads");
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let class = BlockingClass::Quick;
    let until = |wait| platform.clock().now() + wait;
    let run = |until| {
        let (platform, wait) = (platform.clone(), wait.clone());
        tokio::spawn(async move {
            let work = move || wait.lock().expect("lock").recv_timeout(PATIENCE).is_ok();
            platform.blocking(class, "wait", "/test", until, work).await
        })
    };
    let (mut at_work, mut refused, mut late) = (Vec::new(), 0, 0);
    for _ in 0..4 {
        at_work.push(run(until(PATIENCE)));
    }
    tokio::task::yield_now().await;
    let waiting: Vec<_> = (0..1100).map(|_| run(until(Duration::from_millis(200)))).collect();
    for task in waiting {
        match task.await.expect("no panic") {
            Err(BlockingError::Busy { .. }) => refused += 1,
            Err(BlockingError::NotStarted { .. }) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, late), (1100 - 1024, 1024));
    for _ in 0..4 {
        release.send(()).expect("somebody waits");
    }
    for task in at_work {
        assert_eq!(task.await.expect("no panic"), Ok(true));
    }
}

#[tokio::test]
async fn a_panic_in_blocking_work_is_an_error() {
    let system = real(0);
    let platform = system.platform();
    let until = platform.clock().now() + PATIENCE;
    let work = || -> u8 { panic!("bad block") };
    let outcome = platform.blocking(BlockingClass::Disk, "read", "/test", until, work).await;
    let text = "bad block".to_owned();
    assert_eq!(outcome, Err(BlockingError::Panicked { name: "read", text }));
}

#[test]
fn a_mistyped_number_of_threads_is_refused() {
    let refused = Platform::real(RealConfig { workers: 100_000, ..RealConfig::default() });
    assert!(matches!(refused, Err(PlatformError::TooManyWorkers { workers: 100_000 })));
}

#[test]
fn randomness_differs() {
    let system = real(0);
    let mut bytes = [[0; 16]; 2];
    for bytes in &mut bytes {
        system.platform().fill_random(bytes);
    }
    assert_ne!(bytes[0], bytes[1]);
}

/// Waits for the event that names a stuck actor.
fn named(events: &mut tokio::sync::broadcast::Receiver<SystemEvent>) -> (String, &'static str) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        match events.try_recv() {
            Ok(SystemEvent::Stuck { path, during, took }) => {
                assert!(took >= STUCK_AFTER, "named too early: {took:?}");
                return (path.to_string(), during);
            }
            _ => std::thread::yield_now(),
        }
    }
    panic!("the watch has named nobody");
}

#[test]
fn a_handler_that_occupies_its_thread_is_named_while_it_does() {
    let system = real(1);
    let (probe, _) = probe(&system, "/probe/1", on(Thread::Worker(0)));
    let mut events = system.events();
    let (release, released) = mpsc::channel::<()>();
    let block = move |_: &mut Probe, _: &mut gantry_runtime::Context<Probe>| {
        // Ends when the watch has named it; a watch that does not fails the test there.
        let _let_go = released.recv_timeout(PATIENCE * 2);
    };
    probe.act(block).expect("room");
    assert_eq!(named(&mut events), ("/probe/1".to_owned(), "closure"));
    let [info] = system.actors().try_into().expect("one actor");
    assert_eq!(info.stalls, 1);
    let stall = info.last_stall.expect("it was named");
    assert_eq!((stall.during, stall.is_over), ("closure", false));
    assert!(stall.took >= STUCK_AFTER && stall.since.elapsed() >= STUCK_AFTER, "{stall:?}");
    assert_eq!(info.busy.map(|(name, took)| (name, took >= STUCK_AFTER)), Some(("closure", true)));
    release.send(()).expect("it still blocks");
    // The watch looks now and then.
    let until = tokio::time::Instant::now() + PATIENCE;
    let over = loop {
        let [info] = system.actors().try_into().expect("one actor");
        match info.last_stall.expect("it is remembered") {
            stall if stall.is_over => break (info.stalls, stall.during, stall.since),
            _ => assert!(tokio::time::Instant::now() < until, "the watch does not see its end"),
        }
        std::thread::yield_now();
    };
    assert_eq!(over, (1, "closure", stall.since));
}

#[test]
fn a_poll_of_a_future_that_occupies_its_thread_is_named_too() {
    let system = real(1);
    let (probe, _) = probe(&system, "/probe/1", on(Thread::Control));
    let mut events = system.events();
    let (release, released) = mpsc::channel::<()>();
    let block = move |_: &mut Probe, ctx: &mut gantry_runtime::Context<Probe>| {
        let poll = async move {
            let _let_go = released.recv_timeout(PATIENCE * 2);
        };
        ctx.spawn_then(poll, |_, (), _| {});
    };
    probe.act(block).expect("room");
    assert_eq!(named(&mut events), ("/probe/1".to_owned(), "then"));
    release.send(()).expect("it still blocks");
}
