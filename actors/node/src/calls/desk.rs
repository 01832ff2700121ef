//! Where calls wait for their turn: so many at once, and never twice the same step at once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::CallNode;
use gantry_model::node_calls::{CallOutcome, CallTarget};
use gantry_model::steps::StepId;
use gantry_runtime::{Actor, Context, Reply};
use gantry_wire::TraceId;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::flow::{Ended, perform};
use crate::env::NodeEnv;

/// Most calls that wait at one actor. The leader has one call at a time per job and locks keep most
/// jobs apart, so a guest has one or two; a node has as many as jobs run at the same time. Lower
/// refuses honest work, higher lets a broken leader fill memory.
pub(crate) const CALLS_WAITING_MAX: usize = 256;

/// What the sender of a call is told.
pub(crate) type Answer = Result<CallOutcome, Fault>;

struct Waiting {
    message: CallNode,
    reply: Reply<Answer>,
    deadline: Instant,
    /// Which command it is of.
    trace: Option<TraceId>,
}

/// The calls of one actor.
pub(crate) struct CallDesk {
    at_once_max: usize,
    at_work: BTreeSet<StepId>,
    waiting: VecDeque<Waiting>,
}

impl CallDesk {
    /// A desk for so many calls at once.
    pub(crate) fn new(at_once_max: usize) -> Self {
        Self { at_once_max, at_work: BTreeSet::new(), waiting: VecDeque::new() }
    }

    /// The next call whose turn it is. The same step, sent again, waits for its first sending.
    fn next(&mut self) -> Option<Waiting> {
        if self.at_work.len() >= self.at_once_max {
            return None;
        }
        let is_free = |waiting: &Waiting| !self.at_work.contains(&waiting.message.step);
        let next_idx = self.waiting.iter().position(is_free)?;
        let next = self.waiting.remove(next_idx);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        next
    }

    /// A call is no more at work. An idle desk holds no memory: every instance has one.
    fn leaves(&mut self, step: &StepId) {
        self.at_work.remove(step);
        if self.at_work.is_empty() {
            self.at_work = BTreeSet::new();
        }
    }
}

/// An actor that node calls are sent to.
pub(crate) trait CallActor: Actor {
    /// Its desk.
    fn desk(&mut self) -> &mut CallDesk;

    /// What it shares with the node.
    fn env(&self) -> &Arc<NodeEnv>;

    /// What it is.
    fn target(&self) -> CallTarget;

    /// A call of it is over. Runs before the answer is sent.
    fn call_ended(&mut self, message: &CallNode, answer: Option<&Answer>, ctx: &mut Context<Self>);
}

/// Takes a call that has arrived. A reply that is dropped tells the sender *outcome unknown*, and
/// it sends the step again: right for what was not looked into at all, too.
pub(crate) fn take_call<A: CallActor>(
    actor: &mut A,
    message: CallNode,
    reply: Reply<Answer>,
    ctx: &mut Context<A>,
) {
    let target = message.call.target();
    if target != actor.target() {
        let text = format!(
            "{} for {target:?} was sent to {}",
            message.call.wire_name(),
            ctx.path().as_str()
        );
        return reply.send(Err(Fault::new(FaultCode::InternalError, text)));
    }
    if actor.env().is_closing() {
        return tracing::info!(step = %message.step, "a call was not begun: the node shuts down");
    }
    let desk = actor.desk();
    if desk.waiting.len() >= CALLS_WAITING_MAX {
        return tracing::warn!(step = %message.step, "a call was not begun: too many wait");
    }
    let deadline = ctx.delivery().deadline;
    let trace = ctx.delivery().trace.map(|context| context.trace);
    desk.waiting.push_back(Waiting { message, reply, deadline, trace });
    start_calls(actor, ctx);
}

fn start_calls<A: CallActor>(actor: &mut A, ctx: &mut Context<A>) {
    while let Some(waiting) = actor.desk().next() {
        let Waiting { message, reply, deadline, trace } = waiting;
        if Instant::now() >= deadline || actor.env().is_closing() {
            tracing::info!(step = %message.step, "a call was not begun: nobody waits for it");
            continue;
        }
        actor.desk().at_work.insert(message.step);
        let env = Arc::clone(actor.env());
        let (step, call) = (message.step, message.call.wire_name());
        // All that is logged on the way, down to the monitor of a guest, is known by it.
        let span = tracing::info_span!("node_call", trace = trace.map(display), %step, call);
        let told_in = span.clone();
        let work = async move {
            let at_work = env.call_at_work();
            let ended = perform(&env, &message).await;
            (message, ended, at_work)
        };
        ctx.spawn_then(work.instrument(span), move |actor, (message, ended, at_work), ctx| {
            actor.desk().leaves(&message.step);
            told_in.in_scope(|| answer(actor, &message, ended, reply, ctx));
            drop(at_work);
            start_calls(actor, ctx);
        });
    }
}

fn answer<A: CallActor>(
    actor: &mut A,
    message: &CallNode,
    ended: Ended,
    reply: Reply<Answer>,
    ctx: &mut Context<A>,
) {
    match ended {
        Ended::Answer(answer) => {
            match &answer {
                Ok(_) => tracing::info!("node call done"),
                Err(fault) => tracing::info!(fault = fault.one_line(), "node call failed"),
            }
            actor.call_ended(message, Some(&answer), ctx);
            reply.send(answer);
        }
        Ended::Unsettled(fault) => {
            let why = fault.one_line();
            tracing::error!(why, "the end of a node call is not known");
            actor.call_ended(message, None, ctx);
        }
    }
}
