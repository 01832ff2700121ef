//! The actix actor around a [`Core`]. All that the runtime knows of actix actors is in this file.
//!
//! actix gives the task, its life cycle and the arbiter it runs on. Messages do not go through its
//! mailbox (see `mailbox.rs`); the core is polled as a future tied to the actix actor, which ends
//! with it.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{ActorContext, AsyncContext};

use super::Core;
use crate::actor::Actor;

struct Shell<A: Actor> {
    core: Core<A>,
}

// Nothing in the core is pinned in place; the actor inside may be of any kind.
impl<A: Actor> Unpin for Shell<A> {}

impl<A: Actor> actix::Actor for Shell<A> {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Drive);
    }
}

/// Polls the core whenever its task is woken.
struct Drive;

impl<A: Actor> ActorFuture<Shell<A>> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        shell: &mut Shell<A>,
        ctx: &mut actix::Context<Shell<A>>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        std::task::ready!(shell.core.poll(task));
        ctx.stop();
        Poll::Ready(())
    }
}

/// Runs an actor on the arbiter (or simulated node) that this is called on.
pub(crate) fn run<A: Actor>(core: Core<A>) {
    let context = actix::Context::new();
    let _address = context.run(Shell { core });
}
