//! The state level rises by itself.
//!
//! Every few seconds the holders of the log are asked what their programs know; when all of them
//! know the next level, it is raised. Asked anew each time and raised at once: what a holder said
//! in an earlier run counts for nothing. One that is started with an older program between its
//! answer and the entry meets the entry and stops, by its store; nothing is guessed.
//!
//! Nodes that do not hold the log are not asked. They apply nothing, a call that they do not know
//! they refuse before anything is done, and one of them that is off for good would keep the level
//! down for ever. They are looked at when they join.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_engine::state::level::{LevelDecision, next};
use gantry_engine::state::{ClusterState, Command};
use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::NodeUuid;
use gantry_model::levels::{LevelHolder, LevelStanding, Levels};
use gantry_model::names::NodeName;
use gantry_runtime::Context;

use super::ClusterActor;
use crate::context::MasterContext;

/// How often the holders of the log are asked. Lower costs messages for nothing, because programs
/// change some times a year; higher and people who upgrade the last node wait for the new version
/// to show.
const LEVEL_EVERY: Duration = Duration::from_secs(10);

impl ClusterActor {
    /// Raises the level as far as it may rise, now and every so often, as long as this actor lives.
    pub(super) fn raise_level(&self, ctx: &mut Context<Self>) {
        ctx.spawn_then(raise(self.context.clone()), |actor, standing, ctx| {
            if standing != actor.level {
                tell(&standing);
                actor.level = standing;
            }
            ctx.after(LEVEL_EVERY, |actor, ctx| actor.raise_level(ctx)).detach();
        });
    }

    /// Where the level is, as of now; who holds it back, as of the last time they were asked.
    pub(super) fn level_standing(&self, state: &ClusterState) -> LevelStanding {
        LevelStanding { level: state.level, ..self.level.clone() }
    }
}

fn tell(standing: &LevelStanding) {
    let LevelStanding { level, newest, held_by } = standing;
    if held_by.is_empty() {
        tracing::info!(level, "every holder of the log knows the state level");
    } else {
        let held_by: Vec<String> = held_by.iter().map(ToString::to_string).collect();
        tracing::warn!(level, newest, ?held_by, "the state level is held back");
    }
}

async fn raise(context: MasterContext) -> LevelStanding {
    loop {
        let known = context.store.survey_levels().await;
        let state = context.state();
        let LevelDecision::Raise { to } = next(state.level, &known) else {
            return standing(&state, &known);
        };
        match context.commit(Command::RaiseLevel { reign: context.reign, to }).await {
            Ok(_) => tracing::info!(to, "the state level is raised"),
            Err(fault) => {
                tracing::warn!(to, fault = fault.one_line(), "the state level was not raised");
                return standing(&state, &known);
            }
        }
    }
}

fn standing(state: &ClusterState, known: &BTreeMap<NodeUuid, Option<Levels>>) -> LevelStanding {
    let level = state.level;
    let newest = known.values().flatten().map(|levels| levels.newest).max().unwrap_or(level);
    let by = match next(level, known) {
        LevelDecision::Held { by, .. } => by,
        LevelDecision::Raise { .. } | LevelDecision::Newest => Vec::new(),
    };
    let held_by = by.into_iter().map(|node| LevelHolder {
        node,
        name: state.nodes.get(&node).map(|node| node.name.clone()),
        knows: known.get(&node).copied().flatten(),
    });
    LevelStanding { level, newest, held_by: held_by.collect() }
}

/// Whether a node with such a program may join: it may come to hold the log at any time.
pub(super) fn check_joiner(
    name: &NodeName,
    knows: Option<Levels>,
    level: u32,
) -> Result<(), Fault> {
    let knows = match knows {
        Some(levels) if levels.knows(level) => return Ok(()),
        Some(levels) => format!("knows state levels {levels}"),
        None => "does not say which state levels it knows".to_owned(),
    };
    let text = format!(
        "node {name} cannot join: its gantry {knows}, the cluster is at level {level}; install the \
         gantry of the other nodes on it and try again"
    );
    Err(Fault::new(FaultCode::WrongState, text))
}
