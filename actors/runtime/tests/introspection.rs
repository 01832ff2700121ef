//! Live actors can be looked at, stuck ones too.

use gantry_runtime::{Escalation, SpawnOptions, Supervision, Thread, simulate};

use crate::rig::*;

#[test]
fn actors_are_listed_with_what_they_did() {
    simulate(async {
        let system = system();
        let supervision = Supervision { escalation: Escalation::Report, ..Supervision::default() };
        let options = SpawnOptions {
            thread: Thread::Control,
            parent: Some(path("/probe")),
            supervision,
            ..SpawnOptions::default()
        };
        let (probe, _) = probe(&system, "/probe/1", options);
        probe.to::<Break>().tell(Break("boom".into())).expect("room");
        assert_eq!(probe.to::<Note>().ask(note("x"), SECOND).await, Ok(1));
        probe.to::<Hold>().tell(Hold(1000)).expect("room");
        tokio::task::yield_now().await;
        tokio::time::sleep(SECOND / 10).await;
        probe.to::<Blob>().tell(Blob(vec![0; 1000])).expect("room");
        let [info] = system.actors().try_into().expect("one actor");
        assert_eq!(info.path, path("/probe/1"));
        assert_eq!(info.kind, "probe");
        assert_eq!(info.parent, Some(path("/probe")));
        assert_eq!((info.mailbox_messages, info.mailbox_bytes), (1, 1000));
        assert_eq!(info.restarts, 1);
        // started, break, started, note, hold
        assert_eq!(info.handled, 5);
        assert!(!info.is_down);
    });
}

#[test]
fn the_flight_recorder_knows_the_last_turns() {
    simulate(async {
        let system = system();
        let (probe, _) = probe(&system, "/probe/1", SpawnOptions::default());
        assert_eq!(probe.to::<Note>().ask(note("x"), SECOND).await, Ok(1));
        tokio::time::sleep(SECOND).await;
        assert_eq!(probe.to::<Later>().ask(Later(10), SECOND).await, Ok(()));
        let records = system.flight(&path("/probe/1")).expect("it lives");
        let names: Vec<_> = records.iter().map(|record| record.name).collect();
        assert_eq!(names, ["started", "rig.note", "rig.later", "then"]);
        assert!(records[2].at >= records[1].at + SECOND);
        assert_eq!(system.flight(&path("/probe/2")), None);
    });
}
