//! Both sides of a pair, with hellos and replies delivered in any order.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn boot(n: u128) -> BootId {
    BootId(Uuid::from_u128(n))
}

fn side(us: u128, them: u128) -> Rivalry {
    Rivalry::new(node(us), boot(us * 100), node(them))
}

#[test]
fn the_dial_of_the_smaller_id_is_kept_when_both_dial_at_once() {
    let (mut small, mut large) = (side(1, 2), side(2, 1));
    let (from_small, from_large) = (1, 1);
    let knows = small.begin_dial(from_small).expect("no connection");
    let knows_too = large.begin_dial(from_large).expect("no connection");
    assert_eq!(large.on_hello(boot(100), from_small, knows), Verdict::Accept);
    assert_eq!(small.on_hello(boot(200), from_large, knows_too), Verdict::Duplicate);
    assert_eq!(small.on_reply(from_small, boot(200)), Verdict::Accept);
    assert_eq!(large.on_reply(from_large, boot(100)), Verdict::Duplicate);
}

#[test]
fn a_dial_gives_way_to_a_connection_that_came_before_its_hello() {
    let mut a = side(1, 2);
    assert_eq!(a.on_hello(boot(200), 1, None), Verdict::Accept);
    assert_eq!(a.begin_dial(1), Err(Verdict::Duplicate));
}

#[test]
fn a_peer_that_lost_the_connection_replaces_it() {
    let (mut a, mut b) = (side(1, 2), side(2, 1));
    let dial = 1;
    let knows = a.begin_dial(dial).expect("no connection");
    assert_eq!(b.on_hello(boot(100), dial, knows), Verdict::Accept);
    assert_eq!(a.on_reply(dial, boot(200)), Verdict::Accept);
    b.ended();
    let again = 1;
    let knows = b.begin_dial(again).expect("lost");
    assert_eq!(a.on_hello(boot(200), again, knows), Verdict::Accept);
}

#[test]
fn a_new_boot_replaces_the_old_and_the_old_stays_out() {
    let mut a = side(1, 2);
    assert_eq!(a.on_hello(boot(200), 1, None), Verdict::Accept);
    assert_eq!(a.on_hello(boot(201), 1, None), Verdict::Accept);
    assert_eq!(a.on_hello(boot(200), 2, None), Verdict::Stale);
}

#[test]
fn a_hello_that_comes_late_does_not_replace_a_newer_connection() {
    let mut a = side(1, 2);
    assert_eq!(a.on_hello(boot(200), 2, None), Verdict::Accept);
    assert_eq!(a.on_hello(boot(200), 1, None), Verdict::Stale);
}

/// One connection as the network sees it.
#[derive(Clone, Debug)]
struct Dialed {
    by: usize,
    dial: u64,
    knows: Option<AcceptedDial>,
    answered: Option<Verdict>,
    seen: bool,
}

/// A pair of peers that follow the rules of the link: dial only without a connection, at most one
/// dial at a time, give up what was replaced.
struct Pair {
    sides: [Rivalry; 2],
    holds: [Option<usize>; 2],
    dialing: [bool; 2],
    connections: Vec<Dialed>,
}

impl Pair {
    fn new() -> Self {
        Self {
            sides: [side(1, 2), side(2, 1)],
            holds: [None; 2],
            dialing: [false; 2],
            connections: Vec::new(),
        }
    }

    fn dial(&mut self, by: usize) {
        if self.holds[by].is_none() && !self.dialing[by] {
            let dial = self.connections.len() as u64 + 1;
            let knows = self.sides[by].begin_dial(dial).expect("holds none");
            self.dialing[by] = true;
            self.connections.push(Dialed { by, dial, knows, answered: None, seen: false });
        }
    }

    fn deliver_hello(&mut self, n: usize) {
        let Some(connection) = self.connections.get_mut(n) else { return };
        if connection.answered.is_some() {
            return;
        }
        let to = 1 - connection.by;
        let from_boot = self.sides[connection.by].our_boot;
        let verdict = self.sides[to].on_hello(from_boot, connection.dial, connection.knows);
        connection.answered = Some(verdict);
        if verdict == Verdict::Accept {
            self.holds[to] = Some(n);
        }
    }

    fn deliver_answer(&mut self, n: usize) {
        let Some(connection) = self.connections.get_mut(n) else { return };
        let (Some(verdict), false) = (connection.answered, connection.seen) else { return };
        connection.seen = true;
        let (by, dial) = (connection.by, connection.dial);
        self.dialing[by] = false;
        if verdict != Verdict::Accept {
            self.sides[by].dial_failed(dial);
            return;
        }
        let other = self.sides[1 - by].our_boot;
        if self.sides[by].on_reply(dial, other) == Verdict::Accept {
            self.holds[by] = Some(n);
        }
    }

    /// One side notices that the other does not hold its connection (the close arrives).
    fn notice_closed(&mut self, who: usize) {
        let Some(n) = self.holds[who] else { return };
        let connection = &self.connections[n];
        let other_may_still_take_it = connection.by != who && !connection.seen;
        if self.holds[1 - who] != Some(n) && !other_may_still_take_it {
            self.holds[who] = None;
            self.sides[who].ended();
        }
    }

    fn settle(&mut self) {
        for _ in 0..6 {
            for who in 0..2 {
                self.notice_closed(who);
                self.dial(who);
            }
            for n in 0..self.connections.len() {
                self.deliver_hello(n);
                self.deliver_answer(n);
            }
            (0..2).for_each(|who| self.notice_closed(who));
        }
    }
}

proptest! {
    #[test]
    fn both_sides_end_with_the_same_connection(
        steps in proptest::collection::vec((0_u8..5, 0_usize..6), 0..40)
    ) {
        let mut pair = Pair::new();
        for (action, n) in steps {
            match action {
                0 => pair.dial(n % 2),
                1 => pair.deliver_hello(n),
                2 => pair.deliver_answer(n),
                3 => pair.notice_closed(n % 2),
                _ => {
                    // A side loses what it holds without the other knowing.
                    let who = n % 2;
                    if pair.holds[who].take().is_some() {
                        pair.sides[who].ended();
                    }
                }
            }
        }
        pair.settle();
        prop_assert!(pair.holds[0].is_some(), "{:?}", pair.connections);
        prop_assert_eq!(pair.holds[0], pair.holds[1], "{:?}", pair.connections);
    }
}
