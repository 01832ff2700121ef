//! Where a daemon kills itself, for tests of crashes: with SIGKILL, so that nothing is cleaned up.
//!
//! `instance.start:after-effect` is a point of a node call; `commit:3:before` is the third entry
//! that this process proposes under its reign, `after` the moment when the entry is durable and
//! nobody has been told. Takeovers are not counted: they come before a daemon answers.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gantry_engine::state::Command;
use gantry_host::ProcessIdentity;
use gantry_node::{CrashPoints, CrashSpec, CrashSpecError};
use gantry_store::{CommitMoment, Store};

/// The word in front of the number of a commit.
const COMMIT: &str = "commit";

/// A text that names no crash point.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrashPointError {
    /// It begins like that of a commit.
    #[error("{text:?} is no crash point of a commit; give commit:<number from 1>:before|after")]
    Commit {
        /// The text.
        text: String,
    },
    /// It should be that of a node call.
    #[error("{text:?} names no commit, so it should name a node call")]
    Call {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: CrashSpecError,
    },
}

/// A crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// Of a node call.
    Call(CrashSpec),
    /// Of a commit, counted from 1.
    Commit(u64, CommitMoment),
}

impl FromStr for CrashPoint {
    type Err = CrashPointError;

    fn from_str(text: &str) -> Result<Self, CrashPointError> {
        let Some(rest) = text.strip_prefix(COMMIT).and_then(|rest| rest.strip_prefix(':')) else {
            return match text.parse() {
                Ok(spec) => Ok(Self::Call(spec)),
                Err(source) => Err(CrashPointError::Call { text: text.to_owned(), source }),
            };
        };
        let parse = || {
            let (number, moment) = rest.split_once(':')?;
            let number = number.parse().ok().filter(|number| *number > 0)?;
            let moment = CommitMoment::ALL.into_iter().find(|known| known.as_str() == moment)?;
            Some(Self::Commit(number, moment))
        };
        parse().ok_or_else(|| CrashPointError::Commit { text: text.to_owned() })
    }
}

impl CrashPoint {
    /// What the node asks at its crash points.
    pub(crate) fn of_calls(point: Option<Self>) -> CrashPoints {
        match point {
            Some(Self::Call(spec)) => CrashPoints::at(spec, kill_us),
            Some(Self::Commit(..)) | None => CrashPoints::none(),
        }
    }

    /// Watches the commits of a store.
    pub(crate) fn watch(self, store: &Store) {
        let Self::Commit(number, at) = self else { return };
        let n_seen = AtomicU64::new(0);
        store.watch_commits(Arc::new(move |moment, command| {
            if moment != at || matches!(command, Command::TakeOver { .. } | Command::Init(_)) {
                return;
            }
            if n_seen.fetch_add(1, Ordering::SeqCst) + 1 == number {
                kill_us();
            }
        }));
    }
}

fn kill_us() {
    let us = ProcessIdentity::of(std::process::id()).ok().flatten();
    let killed = us.map(|us| us.kill());
    tracing::error!(?killed, "still alive after killing myself");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_and_calls_are_told_apart() {
        let commit = "commit:3:after".parse::<CrashPoint>().expect("a commit");
        assert_eq!(commit, CrashPoint::Commit(3, CommitMoment::After));
        let call = "instance.start:after-effect".parse::<CrashPoint>().expect("a call");
        assert!(matches!(call, CrashPoint::Call(spec) if spec.call == "instance.start"));
    }

    #[test]
    fn other_texts_are_refused_with_what_is_accepted() {
        for bad in ["commit:0:before", "commit:x:after", "commit:1", "commit:1:during"] {
            let error = bad.parse::<CrashPoint>().expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("before|after"), "{error}");
        }
        assert!("instance.dance:after-effect".parse::<CrashPoint>().is_err());
    }
}
