//! `/instance/<uuid>/disk/<n>`: one disk.

use std::sync::Arc;

use gantry_model::ids::InstanceUuid;
use gantry_model::messages::CallNode;
use gantry_model::node_calls::CallTarget;
use gantry_runtime::{Actor, Context, Handler, Protocol, Reply};

use crate::calls::{Answer, CallActor, CallDesk, take_call};
use crate::env::NodeEnv;

/// A disk. Owns nothing but the order of its calls; jobs send to it; it uses the storage. When it
/// dies, the call at work is an open intent, and is resolved when the call is sent again.
pub(crate) struct DiskActor {
    env: Arc<NodeEnv>,
    target: CallTarget,
    desk: CallDesk,
}

impl DiskActor {
    pub(crate) fn new(env: Arc<NodeEnv>, instance: InstanceUuid, disk_idx: u32) -> Self {
        Self { env, target: CallTarget::Disk(instance, disk_idx), desk: CallDesk::new(1) }
    }
}

impl Actor for DiskActor {
    const KIND: &'static str = "disk";

    fn protocol() -> Protocol<Self> {
        Protocol::new().on::<CallNode>()
    }
}

impl CallActor for DiskActor {
    fn desk(&mut self) -> &mut CallDesk {
        &mut self.desk
    }

    fn env(&self) -> &Arc<NodeEnv> {
        &self.env
    }

    fn target(&self) -> CallTarget {
        self.target
    }

    fn call_ended(&mut self, _: &CallNode, _: Option<&Answer>, _: &mut Context<Self>) {}
}

impl Handler<CallNode> for DiskActor {
    fn handle(&mut self, message: CallNode, reply: Reply<Answer>, ctx: &mut Context<Self>) {
        take_call(self, message, reply, ctx);
    }
}
