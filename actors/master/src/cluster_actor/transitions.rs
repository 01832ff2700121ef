//! Transitions of guests: from the reports of nodes into the log, a window at a time.

use std::time::Duration;

use gantry_engine::state::{Command, Rule};
use gantry_runtime::Context;

use super::ClusterActor;

/// How long sights of guests are collected before what has changed is written. Lower makes more
/// entries while many guests start, and two of a guest that flaps within it; higher loses more of
/// what was seen last when the leader dies.
const TRANSITION_WINDOW: Duration = Duration::from_millis(500);

impl ClusterActor {
    /// Sees to it that what was noted is written, one entry at a time.
    pub(super) fn write_transitions_later(&mut self, ctx: &mut Context<Self>) {
        if self.sightings.is_empty() || self.writes_transitions {
            return;
        }
        // What is collected meanwhile is written when the level has risen.
        if !self.context.state().permits(Rule::Transitions) {
            return;
        }
        self.writes_transitions = true;
        ctx.after(TRANSITION_WINDOW, |actor, ctx| actor.write_transitions(ctx)).detach();
    }

    fn write_transitions(&mut self, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let seen = self.sightings.take(&context.state(), &self.picture, context.now());
        if seen.is_empty() {
            self.writes_transitions = false;
            return;
        }
        let command = Command::Transitions { reign: context.reign, seen: seen.clone() };
        ctx.spawn_then(async move { context.commit(command).await }, move |actor, done, ctx| {
            if let Err(fault) = done {
                tracing::warn!(fault = fault.one_line(), "transitions were not written");
                actor.sightings.put_back(&seen);
            }
            actor.writes_transitions = false;
            actor.write_transitions_later(ctx);
        });
    }
}
