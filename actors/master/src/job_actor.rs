//! `/job/<id>`: the actor of a job, a thin shell around the job machine.
//!
//! Owns the machine of one placement of one job and carries out its effects: asks the logical unit,
//! the lock actor, the nodes, the log. Spawned by the cluster actor. When it fails it is made
//! again: the job is placed anew, which voids what the failed one had proposed, and resumed from
//! the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gantry_engine::jobs::{
    CallEnd, JobEffect, JobEvent, JobMachine, RETRY_MAX, Readiness, readiness,
};
use gantry_engine::state::{ClusterState, Command, JobEntry, JobFact};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::facts::{Fact, FactQuery, Facts};
use gantry_model::ids::{JobAttempt, JobId, NodeUuid};
use gantry_model::jobs::JobStatus;
use gantry_model::messages::{
    AcquireLocks, CallNode, GatherFacts, InstallReign, JobTouched, ReleaseLocks, locks_path,
};
use gantry_model::node_calls::{NodeCall, node_path};
use gantry_model::opcodes::OpCode;
use gantry_model::steps::{StepId, StepResult};
use gantry_runtime::{Actor, AskOptions, Context, Handler, LocalRef, Protocol, Reply};
use gantry_wire::{AskError, NodeId, NotDelivered, SpanId, TraceContext, TraceId};
use tracing::field::{DisplayValue, display};

use crate::cluster_actor::ClusterActor;
use crate::context::MasterContext;
use crate::expected::check_expected;
use crate::lock_actor::LockActor;
use crate::lu;

/// Longest wait for locks. A job that has waited a week is forgotten by its owner; ending it frees
/// the queue.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a node may take to answer whether it is there, and to give facts. Longer than a daemon
/// needs to restart (about a second), shorter than an operator's patience.
const NODE_ANSWER: Duration = Duration::from_secs(10);

/// Pause between attempts to reach a node that does not answer yet.
const REACH_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct JobActor {
    context: MasterContext,
    cluster: LocalRef<ClusterActor>,
    locks: LocalRef<LockActor>,
    id: JobId,
    /// Which command it is of, where that is still known.
    trace: Option<TraceId>,
    attempt: JobAttempt,
    machine: Option<JobMachine>,
    /// Whether an actor of this job has run before in this reign.
    placed_before: Arc<AtomicBool>,
}

impl JobActor {
    pub(crate) fn new(
        context: MasterContext,
        cluster: LocalRef<ClusterActor>,
        locks: LocalRef<LockActor>,
        (id, trace): (JobId, Option<TraceId>),
        placed_before: Arc<AtomicBool>,
    ) -> Self {
        let (attempt, machine) = (JobAttempt(0), None);
        Self { context, cluster, locks, id, trace, attempt, machine, placed_before }
    }

    /// The trace for a line of the log: every line of a job says whose command it is of.
    fn shown(&self) -> Option<DisplayValue<TraceId>> {
        self.trace.map(display)
    }

    /// Makes a machine from the log and starts it.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let state = self.context.state();
        let Some(record) = state.jobs.get(&self.id).filter(|job| !job.status().is_final()) else {
            // It ended behind its actor: canceled before it began.
            self.release();
            self.ended(ctx);
            return;
        };
        self.attempt = record.attempt;
        let held = state.locks.get(&self.id).map(|held| held.as_ref().clone()).unwrap_or_default();
        let machine = JobMachine::new(record, held.clone());
        let (id, attempt) = (self.id, self.attempt);
        let restored = self.locks.act(move |locks, _| locks.restore_job(id, attempt, held));
        if let Err(error) = restored {
            let trace = self.shown();
            tracing::error!(job = %self.id, trace, %error, "the lock actor does not answer");
            self.place_again(ctx);
            return;
        }
        self.machine = Some(machine);
        self.feed(JobEvent::Start, ctx);
    }

    /// Has the job placed anew, then begins again. One whose end came through after all needs no
    /// new placement, which the log may not take now: its locks are free at once.
    fn place_again(&mut self, ctx: &mut Context<Self>) {
        self.machine = None;
        let state = self.context.state();
        if state.jobs.get(&self.id).is_none_or(|job| job.status().is_final()) {
            self.begin(ctx);
            return;
        }
        let context = self.context.clone();
        let command = Command::Place { reign: context.reign, job: self.id };
        ctx.spawn_then(
            async move {
                tokio::time::sleep(REACH_PAUSE).await;
                context.commit(command).await
            },
            |actor, placed, ctx| match placed {
                Ok(_) => actor.begin(ctx),
                Err(fault) => actor.stranded(&fault, ctx),
            },
        );
    }

    /// The log does not take it. If this leader's reign is over, it will be stopped by the daemon;
    /// if not, the log may take it later.
    fn stranded(&mut self, fault: &Fault, ctx: &mut Context<Self>) {
        let (trace, fault) = (self.shown(), fault.one_line());
        tracing::warn!(job = %self.id, trace, fault, "the log does not take the job");
        ctx.after(RETRY_MAX.into(), |actor, ctx| actor.place_again(ctx)).detach();
    }

    fn ended(&mut self, ctx: &mut Context<Self>) {
        let id = self.id;
        let state = self.context.state();
        let status = state.jobs.get(&id).map(|job| job.status().as_str());
        tracing::info!(job = %id, trace = self.shown(), status, "job ended");
        let told = self.cluster.act(move |cluster, ctx| cluster.job_ended(id, ctx));
        if let Err(error) = told {
            tracing::debug!(job = %id, trace = self.shown(), %error, "the cluster actor is gone");
        }
        ctx.stop();
    }

    /// Gives the machine an event and carries out what it wants.
    pub(crate) fn feed(&mut self, event: JobEvent, ctx: &mut Context<Self>) {
        let now = self.context.now();
        let Some(machine) = &mut self.machine else { return };
        let before = machine.live_status();
        let effects = machine.step(event, now);
        let status = machine.live_status();
        if status != before {
            let id = self.id;
            let _refused = self.cluster.act(move |cluster, _| cluster.job_is(id, status));
        }
        for effect in effects {
            self.carry_out(effect, ctx);
        }
    }

    fn carry_out(&mut self, effect: JobEffect, ctx: &mut Context<Self>) {
        match effect {
            JobEffect::Declare { stage, .. } => {
                let declared = self.ask_unit(|op, state, _| {
                    may_begin(state, self.id)?;
                    lu::locks(op, stage, state)
                });
                self.feed(JobEvent::Declared(declared), ctx);
            }
            JobEffect::Want { .. } => {
                let wanted = self.ask_unit(|op, state, _| lu::facts(op, state));
                self.feed(JobEvent::Wanted(wanted), ctx);
            }
            JobEffect::Check { facts, .. } => {
                let checked = self.ask_unit(|op, state, machine| {
                    if let Some(request) = machine.op() {
                        check_expected(&request.common, state)?;
                    }
                    lu::check(op, state, &facts)
                });
                self.feed(JobEvent::Checked(checked), ctx);
            }
            JobEffect::Decide { .. } => {
                let next = self.ask_unit(|op, _, machine| match machine.plan() {
                    Some(plan) => lu::next(op, plan, machine.steps()),
                    None => Err(Fault::new(FaultCode::InternalError, "there is no plan")),
                });
                self.feed(JobEvent::Next(next), ctx);
            }
            JobEffect::Replay { .. } => {
                let replayed = self.ask_unit(|op, _, machine| match machine.plan() {
                    Some(plan) => lu::replay(op, plan, machine.steps()),
                    None => Err(Fault::new(FaultCode::InternalError, "there is no plan")),
                });
                self.feed(JobEvent::Replayed(replayed), ctx);
            }
            JobEffect::Acquire { changes, priority } => self.acquire(changes, priority, ctx),
            JobEffect::Reprioritize(priority) => {
                let id = self.id;
                let told = self.locks.act(move |locks, _| locks.change_priority(id, priority));
                if let Err(error) = told {
                    tracing::warn!(job = %id, trace = self.shown(), %error, "urgency not told");
                }
            }
            JobEffect::Gather(queries) => self.gather(queries, ctx),
            JobEffect::Commit(facts) => self.commit(facts, ctx),
            JobEffect::Call { step, node, call } => self.call(step, node, *call, ctx),
            JobEffect::Install { node, step } => self.install(node, step, ctx),
            JobEffect::Wait(wait) => {
                let wait = tokio::time::sleep(wait.into());
                self.later(ctx, wait, |_, ()| JobEvent::Elapsed);
            }
            JobEffect::AwaitHolder(node) => self.await_holder(node, ctx),
            JobEffect::Waits(what) => {
                let id = self.id;
                let _refused = self.cluster.act(move |cluster, _| cluster.job_waits(id, what));
            }
            JobEffect::GiveUp(changes) => {
                let (id, attempt) = (self.id, self.attempt);
                let told = self.locks.act(move |locks, _| locks.give_up(id, attempt, changes));
                if let Err(error) = told {
                    // Harmless: they are free with the end of the job at the latest.
                    tracing::warn!(job = %id, trace = self.shown(), %error, "locks are kept");
                }
            }
            JobEffect::Release => self.release(),
            JobEffect::Ended => self.ended(ctx),
            JobEffect::Abandon(fault) => self.abandon(&fault, ctx),
        }
    }

    /// Waits until a node holds the log, or does not, as its flags say.
    fn await_holder(&self, node: NodeUuid, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let held = async move { crate::wishes::await_holder(&context, node).await };
        self.later(ctx, held, |_, held| {
            JobEvent::CallEnded(match held {
                Ok(()) => CallEnd::Done(Default::default()),
                Err(fault) => CallEnd::Failed(fault),
            })
        });
    }

    fn release(&self) {
        let locks = self.locks.to::<ReleaseLocks>();
        if let Err(error) = locks.tell(ReleaseLocks { job: self.id }) {
            let trace = self.shown();
            tracing::error!(job = %self.id, trace, %error, "locks could not be released");
        }
    }

    /// Runs `work` and feeds what it gives, unless the job has been placed anew meanwhile: an
    /// answer to the old machine means nothing to the new one.
    fn later<T: 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl Future<Output = T> + 'static,
        event: impl FnOnce(&Self, T) -> JobEvent + 'static,
    ) {
        let attempt = self.attempt;
        ctx.spawn_then(work, move |actor, out, ctx| {
            if actor.attempt == attempt {
                let event = event(actor, out);
                actor.feed(event, ctx);
            }
        });
    }

    /// Another placement has taken over, or the log did not say what became of a proposal. What the
    /// log has is the truth; if the job is still to be done by this leader, it is placed anew.
    fn abandon(&mut self, fault: &Fault, ctx: &mut Context<Self>) {
        let (trace, fault) = (self.shown(), fault.one_line());
        tracing::warn!(job = %self.id, trace, fault, "placement abandoned");
        self.place_again(ctx);
    }

    fn ask_unit<T>(
        &self,
        ask: impl FnOnce(&OpCode, &ClusterState, &JobMachine) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let state = self.context.state();
        match self.machine.as_ref().and_then(|machine| Some((machine, machine.op()?))) {
            Some((machine, op)) => ask(&op.op, &state, machine),
            None => Err(Fault::new(FaultCode::InternalError, "the job has no opcode left")),
        }
    }

    fn acquire(
        &mut self,
        changes: Vec<(gantry_model::locks::LockName, gantry_model::locks::LockChange)>,
        priority: i8,
        ctx: &mut Context<Self>,
    ) {
        let message = AcquireLocks { job: self.id, attempt: self.attempt, priority, changes };
        let asked =
            self.context.system.actor_ref::<AcquireLocks>(locks_path()).ask(message, LOCK_WAIT_MAX);
        let attempt = self.attempt;
        ctx.spawn_then(asked, move |actor, answer, ctx| {
            if actor.attempt != attempt {
                return;
            }
            match answer {
                Ok(granted) => {
                    actor.feed(JobEvent::Locks(granted.map(|granted| granted.held)), ctx);
                }
                // The lock actor was made again meanwhile and knows nothing of the request; or the
                // job itself has given it up.
                Err(error) => {
                    if actor.machine.as_ref().is_some_and(JobMachine::waits_for_locks) {
                        actor.abandon(&Fault::from_ask(&error), ctx);
                    }
                }
            }
        });
    }

    fn commit(&mut self, facts: Vec<JobFact>, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let entry = JobEntry { reign: context.reign, job: self.id, attempt: self.attempt, facts };
        let commit = async move { context.commit(Command::Job(Box::new(entry))).await };
        self.later(ctx, commit, |actor, result| {
            let id = actor.id;
            let _refused = actor.cluster.act(move |cluster, ctx| cluster.job_moved(id, ctx));
            JobEvent::Committed(result.map(|_| ()))
        });
    }

    fn gather(&mut self, queries: Vec<(NodeUuid, FactQuery)>, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        self.later(ctx, gather_facts(context, queries), |_, facts| JobEvent::Gathered(facts));
    }

    fn call(&mut self, step: StepId, node: NodeUuid, call: NodeCall, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let message = CallNode {
            step,
            reign: context.reign,
            attempt: self.attempt,
            settled_below: context.state().settled_below(),
            call,
        };
        let call = call_node(context, node, message, self.trace);
        self.later(ctx, call, |_, end| JobEvent::CallEnded(end));
    }

    fn install(&mut self, node: NodeUuid, step: StepId, ctx: &mut Context<Self>) {
        let message = InstallReign { reign: self.context.reign, steps: vec![step] };
        let asked = self
            .context
            .system
            .remote::<InstallReign>(node.into(), node_path(node))
            .ask(message, NODE_ANSWER);
        self.later(ctx, asked, move |_, answer| {
            let installed = match answer {
                Ok(Ok(installed)) => Ok(installed
                    .results
                    .into_iter()
                    .find(|(id, _)| *id == step)
                    .and_then(|(_, result): (StepId, Option<StepResult>)| result)),
                Ok(Err(fault)) => Err(fault),
                Err(error) => Err(Fault::from_ask(&error)),
            };
            JobEvent::Installed(installed)
        });
    }
}

impl Actor for JobActor {
    const KIND: &'static str = "job";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<JobTouched>()
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.placed_before.swap(true, Ordering::AcqRel) {
            self.place_again(ctx);
        } else {
            self.begin(ctx);
        }
    }
}

/// What people want of the job, as the log has it. To be told twice changes nothing.
impl Handler<JobTouched> for JobActor {
    fn handle(&mut self, _: JobTouched, reply: Reply<()>, ctx: &mut Context<Self>) {
        let state = self.context.state();
        if let Some(record) = state.jobs.get(&self.id) {
            if record.cancel {
                self.feed(JobEvent::Cancel, ctx);
            }
            if let Some(op) = record.ops.iter().find(|op| op.status == JobStatus::Queued) {
                self.feed(JobEvent::Priority(op.priority()), ctx);
            }
        }
        reply.send(());
    }
}

/// A job whose dependencies ended badly fails before it does anything (row Q33).
fn may_begin(state: &ClusterState, id: JobId) -> Result<(), Fault> {
    match state.jobs.get(&id).map(|record| readiness(state, record)) {
        Some(Readiness::Fails(fault)) => Err(fault),
        _ => Ok(()),
    }
}

/// Asks every node once for all that is wanted of it.
pub(crate) async fn gather_facts(
    context: MasterContext,
    queries: Vec<(NodeUuid, FactQuery)>,
) -> Facts {
    let mut by_node: BTreeMap<NodeUuid, Vec<FactQuery>> = BTreeMap::new();
    let mut answers = Vec::new();
    for (node, query) in queries {
        if query == FactQuery::NewAuthority {
            answers.push((node, query, new_authority(&context).await));
            continue;
        }
        by_node.entry(node).or_default().push(query);
    }
    let asked = by_node.into_iter().map(|(node, queries)| {
        let asked = context
            .system
            .remote::<GatherFacts>(node.into(), node_path(node))
            .ask(GatherFacts { queries: queries.clone() }, NODE_ANSWER);
        async move { (node, queries, asked.await) }
    });
    for (node, queries, answer) in futures_util::future::join_all(asked).await {
        let facts = match answer {
            Ok(Ok(facts)) if facts.len() == queries.len() => facts,
            Ok(Ok(_)) => no_facts(&queries, "it gave another number of answers than questions"),
            Ok(Err(fault)) => no_facts(&queries, &fault.one_line()),
            Err(error) => no_facts(&queries, &error.to_string()),
        };
        answers.extend(queries.into_iter().zip(facts).map(|(query, fact)| (node, query, fact)));
    }
    Facts { now: context.now(), seed: context.system.platform().random_u64(), answers }
}

/// Makes an authority; until a step stores it, nothing has happened.
async fn new_authority(context: &MasterContext) -> Fact {
    match context.keys("make a new authority", |keys, state| keys.new_authority(state)).await {
        Ok((authority, secret)) => Fact::NewAuthority { authority, secret },
        Err(fault) => Fact::No { reason: fault.one_line() },
    }
}

fn no_facts(queries: &[FactQuery], reason: &str) -> Vec<Fact> {
    queries.iter().map(|_| Fact::Unreachable { reason: reason.to_owned() }).collect()
}

/// Sends a call. A node that is not connected is given a moment to come back; then the call counts
/// as not sent.
async fn call_node(
    context: MasterContext,
    node: NodeUuid,
    message: CallNode,
    trace: Option<TraceId>,
) -> CallEnd {
    if let NodeCall::NodeLeave(_) = message.call
        && let Err(fault) = crate::wishes::release(&context, node).await
    {
        return CallEnd::Failed(fault);
    }
    let of_node = |fault| of_node(&context, node, fault);
    if let Err(fault) = reach(&context, node).await {
        return CallEnd::NotSent(of_node(fault));
    }
    let path = message.call.target().path(node);
    let parent = SpanId(message.step.job.0);
    let options = AskOptions {
        trace: trace.map(|trace| TraceContext { trace, parent }),
        ..AskOptions::within(message.call.timeout())
    };
    let asked = context.system.remote::<CallNode>(node.into(), path).ask_with(message, options);
    match asked.await {
        Ok(Ok(outcome)) => CallEnd::Done(outcome),
        Ok(Err(fault)) => CallEnd::Failed(of_node(fault)),
        Err(error @ AskError::Unknown(_)) => CallEnd::Unknown(of_node(Fault::from_ask(&error))),
        // It certainly was not begun, but the node is there: sending again is right.
        Err(AskError::NotDelivered(
            why @ (NotDelivered::MailboxFull(_) | NotDelivered::NoSuchActor(_)),
        )) => CallEnd::Unknown(of_node(Fault::from_ask(&why.into()))),
        Err(error @ AskError::NotStarted(_)) => CallEnd::Unknown(of_node(Fault::from_ask(&error))),
        Err(error @ AskError::NotDelivered(_)) => {
            CallEnd::NotSent(of_node(Fault::from_ask(&error)))
        }
    }
}

/// Says where it went wrong, which nobody sees from what the node says of itself.
fn of_node(context: &MasterContext, node: NodeUuid, mut fault: Fault) -> Fault {
    if let Some(node) = context.state().nodes.get(&node) {
        fault.message = format!("node {}: {}", node.name, fault.message);
    }
    fault
}

/// Waits until a node answers, at most [`NODE_ANSWER`].
async fn reach(context: &MasterContext, node: NodeUuid) -> Result<(), Fault> {
    let id: NodeId = node.into();
    if id == context.system.node() || connected(context, id) {
        return Ok(());
    }
    let asked = context
        .system
        .remote::<GatherFacts>(id, node_path(node))
        .ask(GatherFacts { queries: Vec::new() }, NODE_ANSWER);
    match asked.await {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::from_ask(&error)),
    }
}

fn connected(context: &MasterContext, node: NodeId) -> bool {
    context.system.link().is_some_and(|link| link.peers().iter().any(|peer| peer.node == node))
}
