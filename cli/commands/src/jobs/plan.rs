//! What jobs would do, in place of doing it (`--plan`).

use std::collections::BTreeSet;

use gantry_model::messages::NewJob;
use gantry_model::plan::{JobPlan, OpPlan, PlannedChange, PlannedStep};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};

/// Asks for the plan of each job and prints it. Nothing is submitted.
///
/// # Errors
/// When one would be refused, or there is no answer.
pub(super) async fn show_plans(
    ctx: &mut Context<'_>,
    jobs: Vec<NewJob>,
) -> Result<(), CommandError> {
    let client = ctx.client().await?;
    let mut documents = Vec::new();
    for job in jobs {
        let plan = client.plan(job).await?;
        if ctx.json() {
            let document = serde_json::to_value(&plan).map_err(|error| {
                let bug = Failure::Bug(format!("the plan is no JSON: {error}"));
                CommandError::new(CommandErrorKind::Internal, bug)
            })?;
            documents.push(document);
        } else {
            lines(&plan).iter().try_for_each(|line| ctx.say(line))?;
        }
    }
    ctx.set_document(json!({ "plans": documents }));
    Ok(())
}

fn lines(plan: &JobPlan) -> Vec<String> {
    let mut lines = Vec::new();
    for op in &plan.ops {
        lines.push(format!("Plan of {}, at revision {}", op.summary, plan.revision));
        lines.extend(locks(op));
        if !op.nodes.is_empty() {
            lines.push(format!("  Nodes: {}", op.nodes.join(", ")));
        }
        section(&mut lines, "Steps", op.steps.iter().map(step));
        section(&mut lines, "Changes", op.changes.iter().map(change));
    }
    lines.push("Nothing was submitted.".to_owned());
    lines
}

fn section(lines: &mut Vec<String>, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.map(|item| format!("    - {item}")).collect();
    match items.is_empty() {
        true => lines.push(format!("  {title}: none")),
        false => {
            lines.push(format!("  {title}:"));
            lines.extend(items);
        }
    }
}

/// In the order in which they are waited for; a stage may depend on what those before it protect.
fn locks(op: &OpPlan) -> Vec<String> {
    let mut lines = vec!["  Locks:".to_owned()];
    let mut seen = BTreeSet::new();
    for lock in op.locks.iter().flatten().filter(|lock| seen.insert(&lock.name)) {
        lines.push(format!("    - {} {}", lock.name, lock.mode.as_str()));
    }
    lines
}

fn step(step: &PlannedStep) -> String {
    let mut text = format!("{} ({}", step.name, step.act);
    if let Some(node) = &step.node {
        text.push_str(&format!(" on {node}"));
    }
    if let Some(undo) = &step.undo {
        text.push_str(&format!(", taken back by {undo}"));
    }
    if step.may_fail {
        text.push_str(", may fail");
    }
    text.push(')');
    text
}

fn change(change: &PlannedChange) -> String {
    let PlannedChange { object, field, before, after } = change;
    match (before, after) {
        (Value::Null, _) if field.is_empty() => format!("{object} is added"),
        (_, Value::Null) if field.is_empty() => format!("{object} is removed"),
        _ => format!("{object}: {field}: {before} -> {after}"),
    }
}
