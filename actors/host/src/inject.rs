//! What fakes do wrong on demand: delays, failures, crashes at the worst moment.
//!
//! Fakes are shipped backends; this is how a simulation, a test or the demo steers them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A moment inside an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashPoint {
    /// Before anything has happened.
    BeforeEffect,
    /// The effect is there, nobody has been told.
    AfterEffect,
}

/// What a hook wants to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// Never answer: the hook is about to end the agent (it aborts its tasks, or the process).
    Hang,
}

/// Asked at every crash point with the effect that is under way.
pub type CrashHook<E> = Arc<dyn Fn(E, CrashPoint) -> Verdict + Send + Sync>;

struct State<E> {
    failures: BTreeMap<E, u32>,
    latency: Duration,
    hook: Option<CrashHook<E>>,
}

/// Steers a fake whose effects are named by `E`; clones share it.
pub struct Injector<E> {
    state: Arc<Mutex<State<E>>>,
}

impl<E> Clone for Injector<E> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<E> std::fmt::Debug for Injector<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injector").finish_non_exhaustive()
    }
}

impl<E: Copy + Ord> Default for Injector<E> {
    fn default() -> Self {
        let state = State { failures: BTreeMap::new(), latency: Duration::ZERO, hook: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl<E: Copy + Ord> Injector<E> {
    /// The next `times` of this effect fail before anything happens.
    pub fn fail_next(&self, effect: E, times: u32) {
        self.with(|state| {
            state.failures.insert(effect, times);
        });
    }

    /// Every effect takes this long before it happens.
    pub fn set_latency(&self, latency: Duration) {
        self.with(|state| state.latency = latency);
    }

    /// Sets or clears what is asked at every crash point.
    pub fn set_crash_hook(&self, hook: Option<CrashHook<E>>) {
        self.with(|state| state.hook = hook);
    }

    /// Called by a fake before an effect: waits, passes the crash point. True if it shall fail.
    pub async fn before(&self, effect: E) -> bool {
        let latency = self.with(|state| state.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.pass(effect, CrashPoint::BeforeEffect).await;
        self.with(|state| match state.failures.get_mut(&effect) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        })
    }

    /// Called by a fake after an effect: passes the crash point.
    pub async fn after(&self, effect: E) {
        self.pass(effect, CrashPoint::AfterEffect).await;
    }

    async fn pass(&self, effect: E, point: CrashPoint) {
        let hook = self.with(|state| state.hook.clone());
        // Asked without holding the lock: a hook may steer us.
        if hook.is_some_and(|hook| hook(effect, point) == Verdict::Hang) {
            std::future::pending::<()>().await;
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut State<E>) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_down() {
        let injector = Injector::<u8>::default();
        injector.fail_next(1, 2);
        assert!(!injector.before(0).await);
        assert!(injector.before(1).await);
        assert!(injector.before(1).await);
        assert!(!injector.before(1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_never_ends_and_the_hook_sees_where_it_is() {
        let injector = Injector::<u8>::default();
        injector.set_crash_hook(Some(Arc::new(|effect, point| {
            let here = effect == 1 && point == CrashPoint::AfterEffect;
            if here { Verdict::Hang } else { Verdict::Go }
        })));
        assert!(!injector.before(1).await);
        injector.after(0).await;
        let hang = tokio::time::timeout(Duration::from_secs(3600), injector.after(1)).await;
        assert!(hang.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn latency_passes_before_the_effect() {
        let injector = Injector::<u8>::default();
        injector.set_latency(Duration::from_secs(5));
        let start = tokio::time::Instant::now();
        injector.before(0).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
