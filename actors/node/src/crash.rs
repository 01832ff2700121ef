//! Places in a node call where the agent can be made to die.
//!
//! Part of the product: the demo and the tests of real daemons use it too. What dying means is the
//! business of whoever sets it: a daemon kills its own process, a simulation cuts the power of a
//! simulated node.

use std::str::FromStr;
use std::sync::Arc;

use gantry_host::Verdict;
use gantry_model::node_calls::NodeCall;

/// A moment in the life of a node call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashAt {
    /// It has arrived; nothing is on disk.
    BeforeIntent,
    /// Its intent is on disk; nothing has happened.
    AfterIntent,
    /// It has happened; its result is not on disk.
    AfterEffect,
    /// Its result is on disk; nobody has been told.
    AfterRecord,
}

impl CrashAt {
    /// All of them, in the order in which a call passes them.
    pub const ALL: [Self; 4] =
        [Self::BeforeIntent, Self::AfterIntent, Self::AfterEffect, Self::AfterRecord];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::AfterEffect => "after-effect",
            Self::AfterRecord => "after-record",
        }
    }
}

/// A text that names no crash point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no crash point; give <node call>:<{points}>", points = points())]
pub struct CrashSpecError {
    /// The text.
    pub text: String,
}

fn points() -> String {
    CrashAt::ALL.map(CrashAt::as_str).join("|")
}

/// A crash point as it is typed: `instance.start:after-effect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashSpec {
    /// Wire name of the call.
    pub call: &'static str,
    /// Where in it.
    pub at: CrashAt,
}

impl FromStr for CrashSpec {
    type Err = CrashSpecError;

    fn from_str(text: &str) -> Result<Self, CrashSpecError> {
        let parse = || {
            let (call, at) = text.split_once(':')?;
            let call = NodeCall::ALL.iter().find(|name| **name == call)?;
            let at = CrashAt::ALL.into_iter().find(|known| known.as_str() == at)?;
            Some(Self { call, at })
        };
        parse().ok_or_else(|| CrashSpecError { text: text.to_owned() })
    }
}

type Hook = Arc<dyn Fn(CrashAt, &'static str) -> Verdict + Send + Sync>;

/// What is asked at every crash point. Says nothing by default.
#[derive(Clone, Default)]
pub struct CrashPoints {
    hook: Option<Hook>,
}

impl std::fmt::Debug for CrashPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrashPoints").field("set", &self.hook.is_some()).finish()
    }
}

impl CrashPoints {
    /// Nothing ever crashes.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Asks `hook` with the wire name of each call. It may end the process and not return; if it
    /// answers [`Verdict::Hang`], the call goes no further, until its tasks are dropped.
    #[must_use]
    pub fn new(hook: impl Fn(CrashAt, &'static str) -> Verdict + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    /// Runs `die` at one crash point.
    #[must_use]
    pub fn at(spec: CrashSpec, die: impl Fn() + Send + Sync + 'static) -> Self {
        Self::new(move |at, call| {
            if (CrashSpec { call, at }) != spec {
                return Verdict::Go;
            }
            die();
            Verdict::Hang
        })
    }

    pub(crate) async fn pass(&self, at: CrashAt, call: &'static str) {
        if let Some(hook) = &self.hook
            && hook(at, call) == Verdict::Hang
        {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_every_call_can_be_typed() {
        for call in NodeCall::ALL {
            for at in CrashAt::ALL {
                let text = format!("{call}:{}", at.as_str());
                assert_eq!(text.parse(), Ok(CrashSpec { call, at }));
            }
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in ["", "instance.start", "instance.start:later", "x.y:after-effect"] {
            let error = text.parse::<CrashSpec>().expect_err("refused");
            assert!(error.to_string().contains("after-effect"), "{error}");
        }
    }
}
