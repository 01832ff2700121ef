//! The traits that make a type an actor.

use gantry_wire::Message;

use crate::context::Context;
use crate::protocol::Protocol;
use crate::reply::Reply;

/// State that is touched by one message at a time.
///
/// An actor lives on one thread from its making to its end. Its handlers translate and return:
/// waiting is done in futures tied to it ([`Context::spawn_then`], [`Context::hold_then`]),
/// blocking work on the pools ([`Context::blocking`]). When it panics it is dropped and made again
/// by the factory it was spawned with; its refs and the messages still queued survive.
pub trait Actor: Sized + 'static {
    /// What it is, for people: `instance`, `lock-table`.
    const KIND: &'static str;

    /// The messages that it accepts by wire name: from other nodes, and from local senders that
    /// know only its path.
    fn protocol() -> Protocol<Self>;

    /// It has been made, for the first time or again. Runs before any message.
    fn started(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }

    /// It will not be made again: stopped, passivated or given up. Runs after its last message;
    /// what it sends still goes out, what it spawns does not run. Not called after a panic.
    fn stopping(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }
}

/// Handling of one type of message.
pub trait Handler<M: Message>: Actor {
    /// Handles `message` and answers through `reply`, now or later.
    fn handle(&mut self, message: M, reply: Reply<M::Reply>, ctx: &mut Context<Self>);
}
