//! Spawning, stopping, failing, escalating, shutting down.

use std::any::TypeId;
use std::borrow::Borrow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use gantry_wire::ActorPath;

use super::directory::next_order;
use super::{ActorEvent, Directory, Inner, Live, SpawnOptions, System, SystemEvent, Thread};
use crate::actor::Actor;
use crate::cell::{self, Core, Lifetime, Seat};
use crate::delivery::Deadline;
use crate::flight::Stall;
use crate::mailbox::{Facts, Mailbox};
use crate::platform::{Lane, Stuck, StuckListener, Word};
use crate::protocol::Protocol;
use crate::reference::LocalRef;
use crate::supervision::{Escalation, Strategy};

/// Most actors in one system. A node with 5,000 guests has some 20,000; a hundred times that is
/// 3 GiB of idle actors. Lower would refuse honest use, higher would only let a leak take the node
/// down before anybody is told.
pub const ACTORS_MAX: usize = 2_000_000;

/// Why an actor was not spawned. Nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// One lives there, or has not quite stopped.
    #[error("cannot spawn {0}: an actor lives at that path")]
    AlreadyLive(ActorPath),
    /// There are [`ACTORS_MAX`].
    #[error("cannot spawn {0}: the system has {ACTORS_MAX} actors")]
    TooMany(ActorPath),
    /// The system shuts down, or its threads have ended.
    #[error("cannot spawn {0}: the system is shutting down")]
    ShuttingDown(ActorPath),
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to, or did so itself.
    Stopped(String),
    /// It was idle; a message to its path may activate it again.
    Passivated,
    /// It failed too often.
    GaveUp {
        /// The text of the last failure.
        text: String,
    },
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped(why) => f.write_str(why),
            Self::Passivated => f.write_str("passivated"),
            Self::GaveUp { text } => write!(f, "it failed too often, last: {text}"),
        }
    }
}

impl Inner {
    pub(super) fn read_directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_directory(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, event: SystemEvent) {
        // Nobody listening is no failure.
        let _listeners = self.events.send(event);
    }

    /// An actor occupies its thread for too long, or did until now.
    fn actor_stuck(&self, facts: &Facts, stuck: Stuck) {
        let Stuck { during, since, took, word, .. } = stuck;
        let (path, took_ms) = (facts.path.as_str(), took.as_millis() as u64);
        let is_over = word == Word::Over;
        facts.flight.note_stall(Stall { during, since, took, is_over }, word == Word::First);
        if is_over {
            tracing::info!(path, during, took_ms, "an actor has left its thread to others again");
            return;
        }
        tracing::warn!(path, during, took_ms, "an actor occupies its thread");
        self.say(SystemEvent::Stuck { path: facts.path.clone(), during, took });
    }
}

impl StuckListener for Inner {
    fn stuck(&self, stuck: Stuck) -> bool {
        let Some(live) = self.read_directory().by_order(stuck.actor) else { return false };
        self.actor_stuck(live.facts(), stuck);
        true
    }
}

impl System {
    /// Makes an actor at `path`. The factory runs on the actor's thread, and again at each restart.
    /// The ref can be used at once.
    ///
    /// # Errors
    /// When the path is taken, there are too many actors, or the system shuts down.
    pub fn spawn<A: Actor>(
        &self,
        path: ActorPath,
        options: SpawnOptions,
        factory: impl Fn() -> A + Send + 'static,
    ) -> Result<LocalRef<A>, SpawnError> {
        let protocol = self.protocol_of::<A>();
        let lane = self.lane(options.thread);
        let mailbox = {
            let mut directory = self.inner.write_directory();
            if self.is_closing() {
                return Err(SpawnError::ShuttingDown(path));
            }
            if directory.find(&path).is_some() {
                return Err(SpawnError::AlreadyLive(path));
            }
            if directory.len() >= ACTORS_MAX {
                return Err(SpawnError::TooMany(path));
            }
            let order = next_order();
            let pace = self.inner.platform.pace();
            let facts = Facts::new(path, A::KIND, order, &options, self.inner.epoch, pace);
            let mailbox = Arc::new(Mailbox::new(facts, protocol));
            directory.add(mailbox.clone());
            mailbox
        };
        let (system, shared) = (self.clone(), mailbox.clone());
        let SpawnOptions { supervision, passivate_after, .. } = options;
        let lifetime = Lifetime { supervision, passivate_after };
        let pulse = lane.pulse().clone();
        let accepted = lane.run(Box::new(move || {
            cell::run(Core::new(shared, system, factory, lifetime, pulse));
        }));
        if !accepted {
            let facts = &mailbox.facts;
            self.inner.write_directory().remove(&facts.path, facts.order);
            return Err(SpawnError::ShuttingDown(facts.path.clone()));
        }
        Ok(LocalRef::new(mailbox))
    }

    /// Whether an actor lives at `path` here.
    #[must_use]
    pub fn is_live(&self, path: &ActorPath) -> bool {
        self.inner.read_directory().find(path).is_some()
    }

    /// Tells the actor at `path` to stop after its current turn, and its children after it. What is
    /// queued is *not started*. `false` when none lives there.
    pub fn stop(&self, path: impl Borrow<ActorPath>) -> bool {
        let live = self.inner.read_directory().find(path.borrow());
        live.is_some_and(|live| live.order_stop("it was told to stop".into()))
    }

    /// [`System::stop`], and waits until it has stopped. `false` when the deadline comes first.
    pub async fn stop_and_wait(
        &self,
        path: impl Borrow<ActorPath>,
        deadline: impl Into<Deadline>,
    ) -> bool {
        let (path, deadline) = (path.borrow(), deadline.into().instant());
        let Some(live) = self.inner.read_directory().find(path) else { return true };
        live.order_stop("it was told to stop".into());
        let order = live.facts().order;
        drop(live);
        tokio::time::timeout_at(deadline, self.ended(path, order)).await.is_ok()
    }

    /// Waits until this very actor is gone from the directory.
    async fn ended(&self, path: &ActorPath, order: u64) {
        loop {
            let mut changed = std::pin::pin!(self.inner.ended.notified());
            // Enabled before looking, so that an end between the two is not missed.
            changed.as_mut().enable();
            let live = self.inner.read_directory().find(path);
            if live.is_none_or(|live| live.facts().order != order) {
                return;
            }
            changed.await;
        }
    }

    /// Stops every actor, the youngest first, waiting for each; then closes the link. All within
    /// `grace`. `false` when something had not stopped by then.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        let deadline = Deadline::from(grace).instant();
        let mut live: Vec<_> = {
            // Under the lock that spawning takes: nothing is added after this list is made.
            let directory = self.inner.write_directory();
            self.inner.closing.store(true, Ordering::Release);
            directory.all().cloned().collect()
        };
        live.sort_by_key(|live| std::cmp::Reverse(live.facts().order));
        let mut all_stopped = true;
        for live in live {
            live.order_stop("the system is shutting down".into());
            let facts = live.facts();
            let ended = self.ended(&facts.path, facts.order);
            all_stopped &= tokio::time::timeout_at(deadline, ended).await.is_ok();
        }
        let link = self.inner.link.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(link) = link {
            let left = deadline.saturating_duration_since(self.inner.platform.clock().now());
            link.close(left).await;
        }
        all_stopped
    }

    /// Whether [`System::shutdown`] has begun.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.inner.closing.load(Ordering::Acquire)
    }

    fn lane(&self, thread: Thread) -> &Lane {
        let platform = &self.inner.platform;
        match thread {
            Thread::Control => platform.control(),
            Thread::Worker(n) => platform.worker(n),
            Thread::Any => platform.worker(self.inner.next_worker.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// One protocol per type of actor, shared by all of them.
    fn protocol_of<A: Actor>(&self) -> Arc<Protocol<A>> {
        let mut protocols = self.inner.protocols.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            protocols.entry(TypeId::of::<A>()).or_insert_with(|| Arc::new(A::protocol())).clone();
        drop(protocols);
        known.downcast().expect("the entry is kept under its own type id")
    }

    fn say(&self, event: SystemEvent) {
        self.inner.say(event);
    }

    pub(crate) fn actor_failed(&self, facts: &Facts, during: &'static str, text: &str) {
        tracing::error!(path = facts.path.as_str(), during, text, "an actor failed");
        let path = facts.path.clone();
        self.say(SystemEvent::Failed { path, during, text: text.to_owned() });
    }

    pub(crate) fn actor_restarted(&self, facts: &Facts) {
        let restarts = facts.flight.restarts();
        tracing::info!(path = facts.path.as_str(), restarts, "an actor was made again");
        self.say(SystemEvent::Restarted { path: facts.path.clone(), restarts });
        self.tell_watchers(&facts.path, &ActorEvent::Restarted);
    }

    /// Takes down those who restart together with a failed actor; its own seat among them.
    pub(crate) fn take_siblings_down(&self, facts: &Facts, strategy: Strategy) -> Option<Seat> {
        let group = self.inner.read_directory().group(facts, strategy);
        let opener = group.iter().position(|live| live.facts().order == facts.order)?;
        let mut own = None;
        for (live, seat) in group.iter().zip(Seat::round(group.len(), opener)) {
            if live.facts().order == facts.order {
                own = Some(seat);
            } else {
                live.order_down(seat);
            }
        }
        own
    }

    /// Closes the gate of an idle actor and forgets it, at once: whoever finds it closed finds
    /// nothing at the path when looking again.
    pub(crate) fn passivate(&self, live: &dyn Live) -> bool {
        let mut directory = self.inner.write_directory();
        let closed = live.close_if_empty("passivated");
        if closed {
            directory.remove(&live.facts().path, live.facts().order);
        }
        closed
    }

    /// The last word about an actor: forgets it, tells watchers, its parent and its children.
    pub(crate) fn actor_ended(&self, facts: &Facts, how: Ending, escalation: Escalation) {
        self.inner.write_directory().remove(&facts.path, facts.order);
        let children = self.inner.read_directory().children(&facts.path);
        for child in children.iter().rev() {
            child.order_stop(format!("its parent {} ended", facts.path));
        }
        match how {
            Ending::GaveUp { text } => self.escalate(facts, text, escalation),
            Ending::Stopped(reason) => {
                tracing::debug!(path = facts.path.as_str(), reason, "an actor stopped");
                self.tell_watchers(&facts.path, &ActorEvent::Stopped { reason });
            }
            // Virtual: for a watcher it is as alive as before.
            Ending::Passivated => tracing::trace!(path = facts.path.as_str(), "passivated"),
        }
        self.inner.ended.notify_waiters();
    }

    fn escalate(&self, facts: &Facts, text: String, escalation: Escalation) {
        let parent = match escalation {
            Escalation::Report => None,
            Escalation::Parent => facts.parent.clone(),
        };
        let parent = parent.filter(|parent| {
            let live = self.inner.read_directory().find(parent);
            live.is_some_and(|live| live.order_fail(format!("{} gave up: {text}", facts.path)))
        });
        tracing::error!(path = facts.path.as_str(), text, "an actor failed too often");
        let (path, event_text) = (facts.path.clone(), text.clone());
        self.say(SystemEvent::Escalated { path, parent, text: event_text });
        self.tell_watchers(&facts.path, &ActorEvent::Escalated { text });
    }

    pub(super) fn reject(&self, event: SystemEvent) {
        self.say(event);
    }
}
