//! Mailboxes are bounded, and the bound has no way round it.

use gantry_runtime::{MailboxLimits, SpawnOptions, simulate};
use gantry_wire::NotDelivered;

use crate::rig::*;

fn bounded(messages: usize, bytes: usize) -> SpawnOptions {
    SpawnOptions { mailbox: MailboxLimits { messages, bytes }, ..SpawnOptions::default() }
}

#[test]
fn refuses_beyond_its_messages_however_many_refs_there_are() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(5, usize::MAX));
        let refs: Vec<_> = (0..1000).map(|_| probe.to::<Note>().clone()).collect();
        let accepted = refs.iter().filter(|r| r.tell(note("x")).is_ok()).count();
        assert_eq!(accepted, 5);
        assert_eq!(refs[0].tell(note("x")), Err(NotDelivered::MailboxFull("/probe/1".into())));
    });
}

#[test]
fn what_has_started_no_longer_counts() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(2, usize::MAX));
        for round in 1..=10_u64 {
            probe.to::<Note>().tell(note("x")).expect("empty again");
            let n = probe.to::<Note>().ask(note("x"), SECOND).await;
            assert_eq!(n, Ok(round * 2));
        }
    });
}

#[test]
fn messages_behind_a_running_one_still_count() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(3, usize::MAX));
        probe.to::<Hold>().tell(Hold(100)).expect("room");
        for _ in 0..2 {
            probe.to::<Note>().tell(note("x")).expect("room");
        }
        tokio::time::sleep(SECOND / 20).await;
        // The hold has started and is out of the mailbox; the two behind it are not.
        assert_eq!(probe.to::<Note>().tell(note("x")), Ok(()));
        assert!(probe.to::<Note>().tell(note("x")).is_err());
    });
}

#[test]
fn refuses_beyond_its_bytes() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(1000, 10_000));
        let accepted = (0..20).filter(|_| probe.to::<Blob>().tell(Blob(vec![0; 3000])).is_ok());
        assert_eq!(accepted.count(), 3);
    });
}

#[test]
fn a_message_larger_than_the_mailbox_is_told_so() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(1000, 10_000));
        let told = probe.to::<Blob>().tell(Blob(vec![0; 10_001]));
        assert_eq!(told, Err(NotDelivered::TooLarge { bytes: 10_001, bytes_max: 10_000 }));
    });
}

#[test]
fn closures_count_too() {
    simulate(async {
        let (probe, _) = probe(&system(), "/probe/1", bounded(2, usize::MAX));
        let accepted = (0..5).filter(|_| probe.act(|_, _| ()).is_ok()).count();
        assert_eq!(accepted, 2);
    });
}

#[test]
fn a_flooded_actor_lets_its_neighbours_run() {
    simulate(async {
        let system = system();
        let options = bounded(1_000_000, usize::MAX);
        let (flooded, _) = probe(&system, "/probe/1", options);
        let (neighbour, _) = probe(&system, "/probe/2", SpawnOptions::default());
        for _ in 0..10_000 {
            flooded.to::<Note>().tell(note("x")).expect("room");
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        let look = move |_: &mut Probe, ctx: &mut gantry_runtime::Context<Probe>| {
            assert!(tell.send(ctx.system().actors()[0].mailbox_messages).is_ok());
        };
        neighbour.act(look).expect("room");
        let waiting = told.await.expect("the neighbour ran");
        assert!(waiting > 5000, "the neighbour had to wait for the flood: {waiting} left");
    });
}
