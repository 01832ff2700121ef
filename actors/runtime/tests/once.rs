//! Effectively once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gantry_runtime::{
    Actor, AnswerTable, AnswerTableError, AskOptions, Context, Handler, Once, Protocol, Reply,
    SpawnOptions, System, simulate,
};
use gantry_wire::{AskError, RequestId};
use uuid::Uuid;

use crate::rig::*;

/// A disk that survives the actor.
#[derive(Clone, Default)]
struct Disk {
    answers: Arc<Mutex<BTreeMap<RequestId, Bytes>>>,
    counter: Arc<Mutex<u64>>,
    is_full: Arc<Mutex<bool>>,
}

impl AnswerTable for Disk {
    fn get(&self, request: RequestId) -> Result<Option<Bytes>, AnswerTableError> {
        Ok(self.answers.lock().expect("lock").get(&request).cloned())
    }

    fn put(&mut self, request: RequestId, answer: Bytes) -> Result<(), AnswerTableError> {
        if *self.is_full.lock().expect("lock") {
            let source = "no space left on device".into();
            return Err(AnswerTableError { action: "record", request, source });
        }
        self.answers.lock().expect("lock").insert(request, answer);
        Ok(())
    }
}

/// Counts notes once each, slowly; crashes after the effect when told `crash`, drops its duty when
/// told `drop`.
struct Counter {
    disk: Disk,
    once: Once<u64>,
}

impl Actor for Counter {
    const KIND: &'static str = "counter";
    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<Note>()
    }
}

impl Handler<Note> for Counter {
    fn handle(&mut self, message: Note, reply: Reply<u64>, ctx: &mut Context<Self>) {
        let request = ctx.delivery().request;
        let Ok(Some(guard)) = self.once.admit(&self.disk, request, reply) else { return };
        if message.0 == "drop" {
            return drop(guard);
        }
        ctx.spawn_then(tokio::time::sleep(SECOND / 10), move |counter, (), _| {
            let value = {
                let mut value = counter.disk.counter.lock().expect("lock");
                *value += 1;
                *value
            };
            if counter.once.finish(&mut counter.disk, guard, value).is_err() {
                return;
            }
            if message.0 == "crash" {
                panic!("after the answer was recorded and said");
            }
        });
    }
}

fn counter(system: &System) -> Disk {
    let disk = Disk::default();
    let its = disk.clone();
    let make = move || Counter { disk: its.clone(), once: Once::new() };
    system.spawn(path("/counter"), SpawnOptions::default(), make).expect("a free path");
    disk
}

fn request(n: u128) -> AskOptions {
    AskOptions { request: Some(RequestId(Uuid::from_u128(n))), ..AskOptions::within(SECOND) }
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        let to = system.actor_ref::<Note>(path("/counter"));
        assert_eq!(to.ask_with(note("a"), request(1)).await, Ok(1));
        assert_eq!(to.ask_with(note("a"), request(1)).await, Ok(1));
        assert_eq!(to.ask_with(note("a"), request(2)).await, Ok(2));
        assert_eq!(*disk.counter.lock().expect("lock"), 2);
    });
}

#[test]
fn a_repetition_during_the_work_waits_for_it() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        let to = system.actor_ref::<Note>(path("/counter"));
        let (first, second) =
            (to.ask_with(note("a"), request(1)), to.ask_with(note("a"), request(1)));
        assert_eq!((first.await, second.await), (Ok(1), Ok(1)));
        assert_eq!(*disk.counter.lock().expect("lock"), 1);
    });
}

#[test]
fn the_answer_survives_the_actor() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        let to = system.actor_ref::<Note>(path("/counter"));
        assert_eq!(to.ask_with(note("crash"), request(1)).await, Ok(1));
        assert_eq!(to.ask_with(note("crash"), request(1)).await, Ok(1));
        assert_eq!(*disk.counter.lock().expect("lock"), 1);
    });
}

#[test]
fn an_answer_that_cannot_be_recorded_is_not_given() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        *disk.is_full.lock().expect("lock") = true;
        let to = system.actor_ref::<Note>(path("/counter"));
        let outcome = to.ask_with(note("a"), request(1)).await;
        assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    });
}

#[test]
fn a_repetition_does_the_work_that_was_dropped() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        let to = system.actor_ref::<Note>(path("/counter"));
        let dropped = to.ask_with(note("drop"), request(1)).await;
        assert!(matches!(dropped, Err(AskError::Unknown(_))), "{dropped:?}");
        assert_eq!(to.ask_with(note("a"), request(1)).await, Ok(1));
        assert_eq!(*disk.counter.lock().expect("lock"), 1);
    });
}

#[test]
fn without_a_request_id_each_ask_counts() {
    simulate(async {
        let system = system();
        let disk = counter(&system);
        let to = system.actor_ref::<Note>(path("/counter"));
        for n in 1..=3 {
            assert_eq!(to.ask(note("a"), SECOND).await, Ok(n));
        }
        assert_eq!(disk.answers.lock().expect("lock").len(), 0);
    });
}

#[test]
fn ask_once_repeats_until_the_receiver_is_there() {
    simulate(async {
        let system = system();
        let to = system.actor_ref::<Note>(path("/counter"));
        let id = RequestId(Uuid::from_u128(1));
        let asking = to.ask_once(note("a"), id, AskOptions::within(10 * SECOND));
        let asked = tokio::task::spawn_local(asking);
        tokio::time::sleep(SECOND).await;
        let disk = counter(&system);
        assert_eq!(asked.await.expect("no panic"), Ok(1));
        assert_eq!(*disk.counter.lock().expect("lock"), 1);
    });
}

#[test]
fn ask_once_ends_at_its_deadline_with_the_last_outcome() {
    simulate(async {
        let start = tokio::time::Instant::now();
        let to = system().actor_ref::<Note>(path("/counter"));
        let id = RequestId(Uuid::from_u128(1));
        let outcome = to.ask_once(note("a"), id, AskOptions::within(SECOND)).await;
        assert!(matches!(outcome, Err(AskError::NotDelivered(_))), "{outcome:?}");
        assert!(start.elapsed() <= SECOND);
    });
}
