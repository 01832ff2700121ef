//! When a certificate is due, and when a daemon looks.

use std::sync::Mutex;

use futures_util::FutureExt;
use gantry_link::identity::LEAF_LIFETIME_DAYS;
use gantry_model::errors::FaultCode;
use gantry_runtime::simulate;

use super::*;

const DAY_S: u64 = 24 * 3600;

fn lifetime(from_unix_s: u64) -> CertificateLifetime {
    CertificateLifetime {
        not_before_unix_s: from_unix_s,
        not_after_unix_s: from_unix_s + LEAF_LIFETIME_DAYS * DAY_S,
    }
}

#[test]
fn a_certificate_is_due_after_two_thirds_of_its_life_or_when_another_authority_signs() {
    let lifetime = lifetime(1_000);
    let two_thirds = 1_000 + LEAF_LIFETIME_DAYS * DAY_S / 3 * 2;
    assert_eq!(Due::of(lifetime, true, two_thirds - 1), Due::No);
    assert_eq!(Due::of(lifetime, true, two_thirds), Due::Age);
    assert_eq!(Due::of(lifetime, false, 1_000), Due::Authority);
}

/// A certificate by the simulated clock, and a master that may be away.
struct Node {
    platform: Platform,
    state: Mutex<State>,
}

struct State {
    lifetime: CertificateLifetime,
    renewed_at: Vec<u64>,
    looks: u64,
    away_until: u64,
}

impl Node {
    fn new() -> Self {
        let platform = Platform::simulated(3);
        let now = platform.clock().wall().as_secs();
        let state =
            State { lifetime: lifetime(now), renewed_at: Vec::new(), looks: 0, away_until: 0 };
        Self { platform, state: Mutex::new(state) }
    }

    fn now(&self) -> u64 {
        self.platform.clock().wall().as_secs()
    }

    fn see<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("no panic inside"))
    }

    async fn run_for(&self, nudge: &Notify, time: Duration) {
        let (_ends, stop) = watch::channel(false);
        let keeping = keep_fresh(self, &self.platform, nudge, stop);
        drop(tokio::time::timeout(time, keeping).await);
    }
}

impl Renewer for Node {
    fn look(&self) -> BoxFuture<'_, Result<Looked, Fault>> {
        let now = self.now();
        let looked = self.see(|state| {
            state.looks += 1;
            if now < state.away_until {
                return Err(Fault::new(FaultCode::NotDelivered, "no master"));
            }
            if Due::of(state.lifetime, true, now) == Due::No {
                return Ok(Looked::Well);
            }
            state.lifetime = lifetime(now);
            state.renewed_at.push(now);
            Ok(Looked::Changed)
        });
        async move { looked }.boxed()
    }

    fn remaining(&self) -> Duration {
        let ends = self.see(|state| state.lifetime.not_after_unix_s);
        Duration::from_secs(ends.saturating_sub(self.now()))
    }
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY_S)
}

#[test]
fn a_node_renews_in_time_for_years() {
    simulate(async {
        let node = Node::new();
        let begun = node.now();
        node.run_for(&Notify::new(), days(3 * LEAF_LIFETIME_DAYS)).await;
        let renewed_at = node.see(|state| state.renewed_at.clone());
        assert_eq!(renewed_at.len(), 4, "each after two thirds of a year: {renewed_at:?}");
        let due = LEAF_LIFETIME_DAYS * DAY_S / 3 * 2;
        let first = renewed_at[0] - begun;
        assert!((due..=due + LOOK_INTERVAL.as_secs()).contains(&first), "{first}");
    });
}

#[test]
fn a_node_without_a_master_asks_again_and_again_but_not_often() {
    simulate(async {
        let node = Node::new();
        let back = node.now() + LEAF_LIFETIME_DAYS * DAY_S - DAY_S;
        node.see(|state| state.away_until = back);
        node.run_for(&Notify::new(), days(LEAF_LIFETIME_DAYS)).await;
        let (looks, renewed_at) = node.see(|state| (state.looks, state.renewed_at.clone()));
        assert_eq!(renewed_at.len(), 1, "on the last day");
        assert!(renewed_at[0] < back + RETRY_MAX.as_secs(), "soon after the master was back");
        let most = LEAF_LIFETIME_DAYS * DAY_S / (RETRY_MAX.as_secs() * 8 / 10) + 100;
        assert!(looks <= most, "{looks} looks, at most {most}");
    });
}

#[test]
fn a_nudge_makes_it_look_at_once() {
    simulate(async {
        let node = Node::new();
        let nudge = Notify::new();
        node.run_for(&nudge, Duration::from_secs(60)).await;
        assert_eq!(node.see(|state| state.looks), 1);
        nudge.notify_one();
        node.run_for(&nudge, Duration::from_secs(60)).await;
        assert_eq!(node.see(|state| state.looks), 3, "at the start, and for the nudge");
    });
}
