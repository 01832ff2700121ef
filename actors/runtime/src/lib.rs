//! The actor system: refs, mailboxes, supervision, death-watch, the platform.
//!
//! It owns the life of actors on one node and the way of a message to one, here or on another node.
//! An [`Actor`] is a struct with a [`Handler`] per message; a [`System`] spawns it and gives refs:
//! a [`LocalRef`] where its type is known, an [`ActorRef`] where only the message is, the same type
//! for a local and a remote receiver. A [`Platform`] gives threads, time, randomness and pools for
//! blocking work, real or simulated.
//!
//! What every sender can rely on:
//!
//! - `tell` says whether the message was accepted. Mailboxes are bounded in messages and bytes.
//! - `ask` ends by its deadline with one of four outcomes, and tells the truth: *done*, *not
//!   delivered*, *not started*, *unknown* ([`gantry_wire::AskError`]).
//! - An asker that gives up does not cancel its message; a passed deadline does.
//! - A panic is caught, told ([`SystemEvent`]) and answered; the actor is made again under its
//!   [`Supervision`]; refs and queued messages survive.
//!
//! It runs on actix, which nothing of its interface shows. Deliberately absent: virtual machines,
//! opcodes, storage, sockets (a `Link` is given to it), any clock or randomness but the platform's.
//!
#![doc = include_str!("guide.md")]

mod actor;
mod bulk;
mod cell;
mod context;
mod delivery;
mod flight;
mod mailbox;
mod names;
mod once;
mod platform;
mod protocol;
mod quick;
mod reference;
mod reply;
mod segments;
mod supervision;
mod system;

pub use actor::{Actor, Handler};
pub use bulk::{Bulk, BulkKind};
pub use context::{Context, TASKS_MAX, TimerHandle};
pub use delivery::{ASK_TIMEOUT, AskOptions, Deadline, Delivery, Sender, TELL_DEADLINE};
pub use flight::{FLIGHT_RECORDS, FlightRecord, SLOWEST_KEPT, Stall};
pub use mailbox::{MAILBOX_BYTES, MAILBOX_MESSAGES, MailboxLimits};
pub use once::{AnswerTable, AnswerTableError, Once, OnceGuard};
pub use platform::{
    BlockingClass, BlockingError, Clock, Platform, PlatformError, RealConfig, STUCK_AFTER, SimNode,
    TaskHandle, simulate,
};
pub use protocol::Protocol;
pub use quick::{QuickError, QuickNode};
pub use reference::{ActorRef, LocalRef};
pub use reply::{Ask, Reply};
pub use supervision::{
    BACKOFF_FIRST, BACKOFF_MAX, Backoff, Escalation, RESTARTS_MAX, RESTARTS_WINDOW, Strategy,
    Supervision,
};
pub use system::{
    ACTORS_MAX, ActorEvent, ActorInfo, ActorWatch, EVENTS_KEPT, Ending, FlightLog, Location,
    NodeCertainty, Router, SpawnError, SpawnOptions, System, SystemConfig, SystemEvent, Thread,
    WATCH_EVENTS_KEPT, WATCHES_MAX,
};
