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

    /// Its turn has come: whether it may still start. Says so to its sender if not.
    fn begin(&mut self, now: Instant) -> bool;

    /// Handles it. Called once, after `begin` agreed at `now`.
    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant);
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

    fn begin(&mut self, now: Instant) -> bool {
        self.reply.begin(now, self.terms.deadline)
    }

    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant) {
        let Self { message, reply, terms, .. } = *self;
        ctx.enter(terms, now);
        actor.handle(message, reply, ctx);
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

    fn begin(&mut self, _now: Instant) -> bool {
        true
    }

    fn open(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, now: Instant) {
        ctx.enter(Terms::PLAIN, now);
        (self.0)(actor, ctx);
    }
}
