//! `/instance/<uuid>`: one guest.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{InstanceUuid, RunEpoch};
use gantry_model::messages::{CallNode, ConsoleChunk, ReadConsole, WAIT_MAX, WriteConsole};
use gantry_model::node_calls::{CallTarget, NodeCall};
use gantry_model::params::HypervisorKind;
use gantry_model::report::GuestReport;
use gantry_runtime::{Actor, Context, Handler, Protocol, Reply};
use tokio::sync::watch;
use tokio::time::Instant;

use super::node::NodeActor;
use crate::calls::{Answer, CallActor, CallDesk, guest_fault, take_call};
use crate::console::{Console, INPUT_BYTES_MAX};
use crate::env::NodeEnv;

/// Most readers that wait for output of one guest. Each is a person or a program that looks; lower
/// refuses some of a large audience, higher lets one client occupy the actor.
const READERS_MAX: usize = 64;

/// Time left to a reply that must arrive before its asker gives up. Lower than a slow network's
/// round trip and the reader sees an error instead of *nothing yet*; higher shortens short waits.
const REPLY_MARGIN: Duration = Duration::from_millis(500);

/// How long to look for a guest. A hypervisor answers in milliseconds; one that hangs is looked at
/// again with the next event.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// A guest. Owns the order of its calls and its console; jobs and clients send to it; it uses the
/// hypervisors. Lives as long as the guest runs or somebody asks, then it is passivated. When it
/// dies the guest goes on; the call at work is an open intent; the console's ring begins anew.
pub(crate) struct InstanceActor {
    env: Arc<NodeEnv>,
    instance: InstanceUuid,
    desk: CallDesk,
    console: Console,
    guest: Option<Followed>,
    n_readers: usize,
    /// Number of looks begun; only the answer to the last one counts.
    looks: u64,
}

/// The guest that is followed: a future stays at work as long as it is, which keeps the actor.
struct Followed {
    epoch: RunEpoch,
    hypervisor: HypervisorKind,
    /// Tells the pump that the guest is gone.
    gone: watch::Sender<bool>,
}

impl InstanceActor {
    pub(crate) fn new(env: Arc<NodeEnv>, instance: InstanceUuid) -> Self {
        Self {
            env,
            instance,
            desk: CallDesk::new(1),
            console: Console::new(),
            guest: None,
            n_readers: 0,
            looks: 0,
        }
    }

    /// Looks for the guest and follows what it finds. Level-triggered: called whenever something
    /// may have changed.
    pub(crate) fn look(&mut self, ctx: &mut Context<Self>) {
        self.looks += 1;
        let (number, env, instance) = (self.looks, Arc::clone(&self.env), self.instance);
        let look = async move {
            let look = tokio::time::timeout(LOOK_TIMEOUT, find(&env, instance));
            look.await.unwrap_or_else(|_| {
                let text = format!("no answer within {LOOK_TIMEOUT:?}");
                Err(Fault::new(FaultCode::DeadlineExceeded, text))
            })
        };
        ctx.spawn_then(look, move |actor, found, ctx| {
            if actor.looks != number {
                return;
            }
            match found {
                Ok(found) => actor.follow(found.as_ref(), ctx),
                Err(fault) => {
                    let why = fault.one_line();
                    tracing::warn!(instance = %actor.instance, why, "a guest was not found out");
                }
            }
        });
    }

    /// Follows this guest from now on.
    fn follow(&mut self, found: Option<&GuestReport>, ctx: &mut Context<Self>) {
        let same = |guest: &Followed| {
            found.is_some_and(|r| r.epoch == guest.epoch && r.hypervisor == guest.hypervisor)
        };
        if self.guest.as_ref().is_some_and(same) {
            return;
        }
        if let Some(former) = self.guest.take() {
            former.gone.send_replace(true);
        }
        let Some(report) = found else { return self.console.close() };
        let hypervisor = match self.env.hypervisors.get(report.hypervisor) {
            Ok(hypervisor) => hypervisor,
            Err(error) => {
                let why = guest_fault(&error, "follow a guest").one_line();
                return tracing::warn!(instance = %self.instance, why, "a guest is not followed");
            }
        };
        self.console.open();
        let (gone, is_gone) = watch::channel(false);
        let pump = self.console.clone().pump(hypervisor, self.instance, is_gone);
        ctx.spawn_then(pump, |_, (), _| {});
        self.guest = Some(Followed { epoch: report.epoch, hypervisor: report.hypervisor, gone });
    }
}

/// The guest, under whichever hypervisor it runs.
async fn find(env: &NodeEnv, instance: InstanceUuid) -> Result<Option<GuestReport>, Fault> {
    for hypervisor in env.hypervisors.iter() {
        let found = hypervisor.query(instance).await;
        let found = found.map_err(|error| guest_fault(&error, "look for a guest"))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

impl Actor for InstanceActor {
    const KIND: &'static str = "instance";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<CallNode>().on::<ReadConsole>().on::<WriteConsole>()
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.look(ctx);
    }

    fn stopping(&mut self, _: &mut Context<Self>) {
        self.env.instance_ended(self.instance);
    }
}

impl CallActor for InstanceActor {
    fn desk(&mut self) -> &mut CallDesk {
        &mut self.desk
    }

    fn env(&self) -> &Arc<NodeEnv> {
        &self.env
    }

    fn target(&self) -> CallTarget {
        CallTarget::Instance(self.instance)
    }

    /// The guest may have changed in a way that no event tells, such as a start that leaves it
    /// paused: both who follow it look again.
    fn call_ended(&mut self, message: &CallNode, _: Option<&Answer>, ctx: &mut Context<Self>) {
        self.look(ctx);
        let kind = match &message.call {
            NodeCall::InstanceStart(start) => {
                // Whoever reads the console right after the start must not be told that it is
                // closed; the look closes it again if there is no guest.
                self.console.open();
                start.spec.hvparams.kind()
            }
            NodeCall::InstanceStop(stop) => stop.hypervisor,
            NodeCall::InstanceReboot(reboot) => reboot.hypervisor,
            NodeCall::DiskCreate(_)
            | NodeCall::DiskRemove(_)
            | NodeCall::DiskWriteImage(_)
            | NodeCall::DiskWipe(_)
            | NodeCall::NodeDelay(_)
            | NodeCall::NodeLeave(_)
            | NodeCall::NodeTrust(_)
            | NodeCall::NodeRenewCertificate(_) => return,
        };
        let instance = self.instance;
        let stopped = matches!(message.call, NodeCall::InstanceStop(_));
        let told = move |node: &mut NodeActor, ctx: &mut Context<NodeActor>| {
            if stopped {
                node.guest_stopped(instance, ctx);
            }
            node.look_at(kind, instance, ctx);
        };
        if let Some(node) = self.env.node_actor.get()
            && let Err(why) = node.act(told)
        {
            tracing::debug!(%instance, %why, "the node was not told of a call");
        }
    }
}

impl Handler<CallNode> for InstanceActor {
    fn handle(&mut self, message: CallNode, reply: Reply<Answer>, ctx: &mut Context<Self>) {
        take_call(self, message, reply, ctx);
    }
}

impl Handler<ReadConsole> for InstanceActor {
    fn handle(
        &mut self,
        message: ReadConsole,
        reply: Reply<Result<ConsoleChunk, Fault>>,
        ctx: &mut Context<Self>,
    ) {
        if self.n_readers >= READERS_MAX {
            let text = format!("{READERS_MAX} others wait for output of this console");
            return reply.send(Err(Fault::new(FaultCode::TempInsufficientResources, text)));
        }
        self.n_readers += 1;
        let wait = Duration::from(message.wait).min(WAIT_MAX);
        let until = (Instant::now() + wait).min(reply_by(ctx));
        let console = self.console.clone();
        let read = async move { console.read(message.offset, until).await };
        ctx.spawn_then(read, move |actor, chunk, _| {
            actor.n_readers -= 1;
            reply.send(Ok(chunk));
        });
    }
}

impl Handler<WriteConsole> for InstanceActor {
    fn handle(
        &mut self,
        message: WriteConsole,
        reply: Reply<Result<(), Fault>>,
        ctx: &mut Context<Self>,
    ) {
        if message.bytes.len() > INPUT_BYTES_MAX {
            let text = format!(
                "{} bytes of console input are not accepted: at most {INPUT_BYTES_MAX} at once",
                message.bytes.len()
            );
            return reply.send(Err(Fault::new(FaultCode::WrongInput, text)));
        }
        let (console, until) = (self.console.clone(), reply_by(ctx));
        let instance = self.instance;
        let write = async move { console.write(message.bytes, until).await };
        ctx.spawn_then(write, move |_, written, _| {
            let attempted = || format!("write to the console of instance {instance}");
            reply.send(written.map_err(|fault: Fault| fault.within(attempted())));
        });
    }
}

/// When a reply must leave to be in time.
fn reply_by(ctx: &Context<InstanceActor>) -> Instant {
    let deadline = ctx.delivery().deadline;
    deadline.checked_sub(REPLY_MARGIN).unwrap_or(deadline)
}
