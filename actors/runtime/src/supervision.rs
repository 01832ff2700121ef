//! Supervision as data, and the pure part of deciding what a crash leads to.
//!
//! Each actor is supervised by the runtime itself according to its own [`Supervision`]: there are
//! no supervisor actors to write. A parent is only a name under which siblings restart together and
//! to which a failure escalates.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Who is made again when an actor fails: siblings are the actors with the same parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Only the one that failed.
    #[default]
    One,
    /// It and all its siblings, in the order in which they were spawned.
    All,
    /// It and the siblings spawned after it, in that order.
    Rest,
}

/// Where a failure goes that restarts did not cure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escalation {
    /// The parent fails in turn, under its own supervision. Without a live parent, as `Report`.
    #[default]
    Parent,
    /// The actor is stopped, and a [`crate::SystemEvent`] says so.
    Report,
}

/// How long to wait before an actor is made again: doubled with each failure in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub max: Duration,
}

/// First wait after a failure. An actor that fails once is back before its askers give up; zero
/// would let a broken one spin its thread until the restart limit.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// Longest wait between two attempts. Lower would hammer a broken device, higher would leave an
/// entity dead long after its trouble went away.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Failures tolerated in [`RESTARTS_WINDOW`]. Lower would give up on a device that hiccups, higher
/// would hide an actor that cannot live.
pub const RESTARTS_MAX: u32 = 5;

/// The window in which failures are counted. With the waits above an actor that fails at once every
/// time uses up its restarts within a second, well inside; a shorter window would never fill.
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

impl Default for Backoff {
    fn default() -> Self {
        Self { first: BACKOFF_FIRST, max: BACKOFF_MAX }
    }
}

impl Backoff {
    /// The wait before restart number `n` (from one) in the window.
    #[must_use]
    pub fn wait(&self, n: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(n.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.max)
    }
}

/// What happens when an actor fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// Who is made again.
    pub strategy: Strategy,
    /// How often within `window`; one more is stopped and escalated.
    pub restarts_max: u32,
    /// The window.
    pub window: Duration,
    /// How long to wait before each.
    pub backoff: Backoff,
    /// What follows when the limit is passed.
    pub escalation: Escalation,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            strategy: Strategy::One,
            restarts_max: RESTARTS_MAX,
            window: RESTARTS_WINDOW,
            backoff: Backoff::default(),
            escalation: Escalation::Parent,
        }
    }
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Make it again after this wait.
    Restart(Duration),
    /// The limit is passed.
    GiveUp,
}

/// The failures of one actor that are still in the window.
#[derive(Debug, Default)]
pub(crate) struct RestartHistory {
    at: VecDeque<Instant>,
}

impl RestartHistory {
    /// A failure at `now`.
    pub(crate) fn fail(&mut self, now: Instant, rules: &Supervision) -> Verdict {
        while self.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= rules.window) {
            self.at.pop_front();
        }
        let n = self.at.len() as u32 + 1;
        if n > rules.restarts_max {
            return Verdict::GiveUp;
        }
        self.at.push_back(now);
        Verdict::Restart(rules.backoff.wait(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules() -> Supervision {
        Supervision {
            restarts_max: 2,
            window: 10 * SECOND,
            backoff: Backoff { first: SECOND, max: 3 * SECOND },
            ..Supervision::default()
        }
    }

    #[test]
    fn waits_double_up_to_the_maximum() {
        let waits: Vec<_> = (1..=4).map(|n| rules().backoff.wait(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3]);
    }

    #[test]
    fn one_failure_too_many_in_the_window_is_given_up() {
        let (mut history, start) = (RestartHistory::default(), Instant::now());
        assert_eq!(history.fail(start, &rules()), Verdict::Restart(SECOND));
        assert_eq!(history.fail(start + SECOND, &rules()), Verdict::Restart(2 * SECOND));
        assert_eq!(history.fail(start + 9 * SECOND, &rules()), Verdict::GiveUp);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let (mut history, start) = (RestartHistory::default(), Instant::now());
        for turn in 0..5 {
            let verdict = history.fail(start + turn * 10 * SECOND, &rules());
            assert_eq!(verdict, Verdict::Restart(SECOND));
        }
    }
}
