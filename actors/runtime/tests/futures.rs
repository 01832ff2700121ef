//! Futures, holds and timers of an actor.

use std::time::Duration;

use gantry_runtime::{AskOptions, SpawnOptions, System, simulate};
use gantry_wire::{Fence, RequestId};
use uuid::Uuid;

use crate::rig::*;

async fn notes(system: &System) -> Vec<String> {
    system.actor_ref::<Notes>(path("/probe/1")).ask(Notes, SECOND).await.expect("an answer")
}

#[test]
fn other_messages_are_handled_beside_a_spawned_future() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        let later = probe.to::<Later>().ask(Later(100), SECOND);
        probe.to::<Note>().tell(note("meanwhile")).expect("room");
        assert_eq!(later.await, Ok(()));
        assert_eq!(notes(&system).await, ["meanwhile", "later"]);
    });
}

#[test]
fn no_other_message_is_handled_during_a_hold() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        let later = probe.to::<Later>().ask(Later(50), SECOND);
        let hold = probe.to::<Hold>().ask(Hold(100), SECOND);
        probe.to::<Note>().tell(note("after")).expect("room");
        assert_eq!(hold.await, Ok(()));
        assert_eq!(later.await, Ok(()));
        assert_eq!(notes(&system).await, ["held", "after", "later"]);
    });
}

#[test]
fn a_held_actor_can_be_stopped() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        probe.to::<Hold>().tell(Hold(3_600_000)).expect("room");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(system.stop_and_wait(path("/probe/1"), SECOND).await);
    });
}

#[test]
fn a_timer_fires_unless_its_handle_is_dropped() {
    simulate(async {
        let system = system();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        let to = diary.clone();
        probe
            .act(move |_, ctx| {
                let (kept, dropped) = (to.clone(), to);
                ctx.after(SECOND, move |_, _| write(&kept, "detached")).detach();
                drop(ctx.after(SECOND, move |_, _| write(&dropped, "dropped")));
            })
            .expect("room");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(entries(&diary), ["/probe/1 started", "detached"]);
    });
}

#[test]
fn a_continuation_works_under_the_delivery_of_its_message() {
    simulate(async {
        let system = system();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        let to = diary.clone();
        let fence = Fence { reign: 7, attempt: 1 };
        let options = AskOptions {
            fence: Some(fence),
            request: Some(RequestId(Uuid::from_u128(5))),
            ..AskOptions::within(SECOND)
        };
        probe.to::<Later>().tell_with(Later(10), &options).expect("room");
        probe
            .act(move |_, ctx| {
                write(&to, format!("{:?}", ctx.delivery().fence));
                let inner = to.clone();
                ctx.spawn_then(async {}, move |_, (), ctx| {
                    write(&inner, format!("{:?}", ctx.delivery().fence));
                });
            })
            .expect("room");
        tokio::time::sleep(SECOND).await;
        assert_eq!(entries(&diary), ["/probe/1 started", "None", "None"], "not the other's");
    });
}

#[test]
fn an_actor_with_too_many_futures_takes_no_more_messages() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        for _ in 0..gantry_runtime::TASKS_MAX {
            probe.to::<Later>().tell(Later(1000)).expect("room");
            tokio::task::yield_now().await;
        }
        probe.to::<Note>().tell(note("waits")).expect("room");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(system.actors()[0].mailbox_messages, 1);
        tokio::time::sleep(SECOND).await;
        assert_eq!(system.actors()[0].mailbox_messages, 0);
    });
}
