//! What lies in a mailbox: one box per message.

use gantry_wire::Message;
use tokio::time::Instant;

use crate::actor::{Actor, Handler};
use crate::context::Context;
use crate::delivery::Terms;
use crate::names::NameId;
use crate::reply::Reply;

/// Something an actor does in one turn.
pub(crate) trait Letter<A: Actor>: Send {
    /// What the records call it.
    fn name(&self) -> NameId;

    /// What it is charged in the mailbox.
    fn cost_bytes(&self) -> usize;

    /// Whether it may come too late.
    fn has_deadline(&self) -> bool;

    /// Its turn has come, at `now`: handles it, if it may still start. If not, says so to its
    /// sender.
    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant) -> Opened;
}

/// What became of a letter whose turn had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It was handled.
    Handled,
    /// It came too late, and no code of the actor has seen it.
    TooLate,
}

/// A message with its way back.
pub(crate) struct MessageLetter<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: Reply<M::Reply>,
    pub(crate) terms: Terms,
    pub(crate) name: NameId,
}

impl<A: Handler<M>, M: Message> Letter<A> for MessageLetter<M> {
    fn name(&self) -> NameId {
        self.name
    }

    fn cost_bytes(&self) -> usize {
        self.message.cost_bytes().max(size_of::<Self>())
    }

    fn has_deadline(&self) -> bool {
        self.terms.deadline.is_some()
    }

    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant) -> Opened {
        let Self { message, mut reply, terms, .. } = *self;
        if !reply.begin(now, terms.deadline) {
            return Opened::TooLate;
        }
        ctx.enter(terms, now);
        actor.handle(message, reply, ctx);
        Opened::Handled
    }
}

/// A closure from `LocalRef::act`.
pub(crate) struct ClosureLetter<F>(pub(crate) F);

impl<A, F> Letter<A> for ClosureLetter<F>
where
    A: Actor,
    F: FnOnce(&mut A, &mut Context<A>) + Send,
{
    fn name(&self) -> NameId {
        NameId::CLOSURE
    }

    fn cost_bytes(&self) -> usize {
        size_of::<Self>().max(size_of::<usize>())
    }

    fn has_deadline(&self) -> bool {
        false
    }

    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant) -> Opened {
        ctx.enter(Terms::PLAIN, now);
        (self.0)(actor, ctx);
        Opened::Handled
    }
}
