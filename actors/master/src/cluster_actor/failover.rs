//! The master role is handed to another node (rows C13, P34, P81).
//!
//! Asked of the leader, by whoever wants another one: to work on the machine, or because it is
//! slow. What a leader that is gone needs is an election, which nobody has to ask for.

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::messages::MasterFailover;
use gantry_runtime::{Context, Handler, Reply};

use super::ClusterActor;
use crate::wishes::hand_over;

impl Handler<MasterFailover> for ClusterActor {
    fn handle(
        &mut self,
        MasterFailover { to }: MasterFailover,
        reply: Reply<Result<(), Fault>>,
        ctx: &mut Context<Self>,
    ) {
        if to == self.context.config.node {
            reply.send(Ok(()));
            return;
        }
        let context = self.context.clone();
        ctx.spawn_then(async move { hand_over(&context, to).await }, |_, done, _| {
            // Who leads now says whether it is the right one.
            let over = || Fault::new(FaultCode::NotMaster, "this node is not the master any more");
            reply.send(done.and_then(|()| Err(over())));
        });
    }
}
