//! The four outcomes are told truthfully.

use std::time::Duration;

use gantry_runtime::{AskOptions, SpawnOptions, simulate};
use gantry_wire::{AskError, NotDelivered};

use crate::rig::*;

#[test]
fn tells_and_asks_are_handled_in_the_order_sent() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        for n in 0..500 {
            probe.to::<Note>().tell(note(&n.to_string())).expect("room");
        }
        let count = probe.to::<Note>().ask(note("last"), SECOND).await;
        assert_eq!(count, Ok(501));
        let notes = probe.to::<Notes>().ask(Notes, SECOND).await.expect("an answer");
        let sent: Vec<_> = (0..500).map(|n| n.to_string()).chain(["last".into()]).collect();
        assert_eq!(notes, sent);
    });
}

#[test]
fn an_asker_that_gives_up_does_not_cancel_its_message() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        probe.to::<Hold>().tell(Hold(100)).expect("room");
        drop(probe.to::<Note>().ask(note("kept"), SECOND));
        let notes = probe.to::<Notes>().ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec!["held".into(), "kept".into()]));
    });
}

#[test]
fn a_deadline_that_passes_in_the_queue_means_not_started() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        probe.to::<Hold>().tell(Hold(100)).expect("room");
        let late = probe.to::<Note>().ask(note("late"), Duration::from_millis(50)).await;
        assert!(matches!(late, Err(AskError::NotStarted(_))), "{late:?}");
        let notes = probe.to::<Notes>().ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec!["held".into()]), "it must not be handled afterwards either");
    });
}

#[test]
fn a_told_message_is_dropped_when_its_time_is_over() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        probe.to::<Hold>().tell(Hold(100)).expect("room");
        let options = AskOptions::within(Duration::from_millis(50));
        probe.to::<Note>().tell_with(note("late"), &options).expect("room");
        let notes = probe.to::<Notes>().ask(Notes, SECOND).await;
        assert_eq!(notes, Ok(vec!["held".into()]));
    });
}

#[test]
fn a_handler_that_is_not_done_by_the_deadline_means_unknown() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        let outcome = probe.to::<Later>().ask(Later(500), Duration::from_millis(50)).await;
        assert!(matches!(outcome, Err(AskError::Unknown(_))), "{outcome:?}");
    });
}

#[test]
fn a_reply_dropped_unsent_means_unknown() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        let outcome = probe.to::<Forget>().ask(Forget, SECOND).await;
        assert_eq!(outcome, Err(AskError::Unknown("handler ended without an answer".into())));
    });
}

#[test]
fn a_panic_means_unknown_with_its_text() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        let outcome = probe.to::<Break>().ask(Break("disk on fire".into()), SECOND).await;
        assert_eq!(outcome, Err(AskError::Unknown("the handler panicked: disk on fire".into())));
    });
}

#[test]
fn a_panic_ends_the_other_asks_that_the_actor_was_working_on() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        let working = probe.to::<Later>().ask(Later(500), SECOND);
        probe.to::<Break>().tell(Break("boom".into())).expect("room");
        let Err(AskError::Unknown(why)) = working.await else { panic!("must be unknown") };
        assert!(why.contains("boom"), "{why}");
    });
}

#[test]
fn stopped_before_its_turn_means_not_started() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        let running = probe.to::<Hold>().ask(Hold(100), SECOND);
        let queued = probe.to::<Note>().ask(note("never"), SECOND);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(system.stop_and_wait(path("/probe/1"), SECOND).await);
        assert!(matches!(running.await, Err(AskError::Unknown(_))));
        assert!(matches!(queued.await, Err(AskError::NotStarted(_))));
    });
}

#[test]
fn a_stopped_actor_takes_nothing() {
    simulate(async {
        let system = system();
        let (probe, diary) = probe(&system, "/probe/1", SpawnOptions::default());
        assert_eq!(probe.to::<Note>().ask(note("x"), SECOND).await, Ok(1));
        assert!(system.stop_and_wait(path("/probe/1"), SECOND).await);
        let told = probe.to::<Note>().tell(note("x"));
        assert!(matches!(told, Err(NotDelivered::Stopped(_))), "{told:?}");
        let asked = system.actor_ref::<Note>(path("/probe/1")).ask(note("x"), SECOND).await;
        let nobody = NotDelivered::NoSuchActor("/probe/1".into());
        assert_eq!(asked, Err(AskError::NotDelivered(nobody)));
        assert_eq!(entries(&diary), ["/probe/1 started", "/probe/1 stopping"]);
    });
}

#[test]
fn a_handler_sees_whether_its_asker_still_waits() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", SpawnOptions::default());
        let (tell, told) = tokio::sync::oneshot::channel();
        probe.to::<Hold>().tell(Hold(50)).expect("room");
        drop(probe.to::<Later>().ask(Later(1), SECOND));
        let asked = probe.to::<Later>().ask(Later(1), SECOND);
        probe.act(|_, ctx| assert!(tell.send(ctx.delivery().role()).is_ok())).expect("room");
        assert_eq!(asked.await, Ok(()));
        assert_eq!(told.await, Ok(gantry_wire::Role::Candidate));
    });
}

#[test]
fn a_path_ref_meets_only_messages_of_the_protocol() {
    simulate(async {
        let system = system();
        let (_probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        let told = system.actor_ref::<Stranger>(path("/probe/1")).tell(Stranger);
        assert!(matches!(told, Err(NotDelivered::NotUnderstood { .. })), "{told:?}");
    });
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stranger;

impl gantry_wire::Message for Stranger {
    const WIRE_NAME: &'static str = "rig.stranger";
    const ACCESS: gantry_wire::Access = gantry_wire::Access::Read;
    type Reply = ();
}
