//! What came with a message: until when, from whom, in which trace, under which tokens.

use std::time::Duration;

use gantry_link::Peer;
use gantry_wire::{Fence, IncarnationId, RequestId, Role, TraceContext};
use tokio::time::Instant;

/// How long a told message is worth handling when its sender says nothing. Nobody waits for a tell,
/// so the number only bounds the work done on its behalf (nested asks inherit it). Lower would cut
/// honest work short on a loaded node; higher lets stale orders act minutes late.
pub const TELL_DEADLINE: Duration = Duration::from_secs(30);

/// How long an ask waits when [`AskOptions`] are left at their default. Longer than any answer that
/// needs no external command; lower would turn load into *unknown*, higher would hide a hang.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Who sent a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Something in this process.
    Local,
    /// The peer whose connection it came over (perhaps passing it on for another).
    Peer(Peer),
}

/// What travels beside a message, as the handler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When the sender stops waiting. Work started for this message should not outlive it.
    pub deadline: Instant,
    /// Position in a trace, where there is one.
    pub trace: Option<TraceContext>,
    /// Fencing tokens, where the message causes an effect. The handler compares them.
    pub fence: Option<Fence>,
    /// Idempotency key, where the sender may repeat the message.
    pub request: Option<RequestId>,
    /// Who sent it.
    pub from: Sender,
    /// Whether that peer says that it passes the message on. Where it matters who asks, such a
    /// message has no known sender.
    pub passed_on: bool,
    pub(crate) role: Role,
}

impl Delivery {
    /// A local message without extras.
    pub(crate) fn local(deadline: Instant) -> Self {
        Self {
            deadline,
            trace: None,
            fence: None,
            request: None,
            from: Sender::Local,
            passed_on: false,
            role: Role::Candidate,
        }
    }

    /// The role whose rights the message carries: what runs in this process may do everything; for
    /// a peer, the role in its certificate, or the one it passes the message on for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Options for an ask made on behalf of this message: same trace, same tokens, and no longer
    /// than the time left. The request id is not inherited: it names this message, not the next.
    #[must_use]
    pub fn onward(&self, timeout: Duration) -> AskOptions {
        let left = self.deadline.saturating_duration_since(Instant::now());
        AskOptions {
            timeout: timeout.min(left),
            trace: self.trace,
            fence: self.fence,
            ..AskOptions::default()
        }
    }
}

/// What a sender puts beside a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskOptions {
    /// How long to wait; travels with the message.
    pub timeout: Duration,
    /// Position in a trace.
    pub trace: Option<TraceContext>,
    /// Fencing tokens.
    pub fence: Option<Fence>,
    /// Idempotency key.
    pub request: Option<RequestId>,
    /// Incarnation of the receiver that the sender believes in.
    pub incarnation: Option<IncarnationId>,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self { timeout: ASK_TIMEOUT, trace: None, fence: None, request: None, incarnation: None }
    }
}

impl AskOptions {
    /// Only a time-out.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }

    fn is_plain(&self) -> bool {
        self.trace.is_none() && self.fence.is_none() && self.request.is_none()
    }
}

/// What a letter carries of all that: one pointer for the common case of nothing.
pub(crate) struct Terms {
    pub(crate) deadline: Option<Instant>,
    pub(crate) extra: Option<Box<Delivery>>,
}

impl Terms {
    /// A local tell.
    pub(crate) const PLAIN: Self = Self { deadline: None, extra: None };

    /// A local message with options, to be handled before `deadline`.
    pub(crate) fn local(options: &AskOptions, deadline: Instant) -> Self {
        let extra = (!options.is_plain()).then(|| {
            Box::new(Delivery {
                trace: options.trace,
                fence: options.fence,
                request: options.request,
                ..Delivery::local(deadline)
            })
        });
        Self { deadline: Some(deadline), extra }
    }

    /// A message that came from a peer.
    pub(crate) fn remote(delivery: Delivery) -> Self {
        Self { deadline: Some(delivery.deadline), extra: Some(Box::new(delivery)) }
    }

    /// The same terms for a second attempt.
    pub(crate) fn again(&self) -> Self {
        Self { deadline: self.deadline, extra: self.extra.clone() }
    }
}

/// A moment to wait for at most: given as one, or as a time from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(at)
    }
}

impl From<Duration> for Deadline {
    fn from(left: Duration) -> Self {
        Self(instant_after(Instant::now(), left))
    }
}

/// `start + wait` without overflow for waits that mean *for ever*.
pub(crate) fn instant_after(start: Instant, wait: Duration) -> Instant {
    /// A year: past any process's patience, far from the end of `Instant`.
    const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
    start + wait.min(WAIT_MAX)
}
