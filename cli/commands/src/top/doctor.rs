//! `gantry doctor`

use std::io::Write as _;

use owo_colors::OwoColorize as _;
use serde_json::json;

use crate::context::Context;
use crate::error::{CommandError, CommandErrorKind, Failure};
use crate::machine::{Finding, Verdict};

/// Check this machine and its daemon, and say what to do
///
/// It looks at the programs, devices and limits that guests need, at the state directory, its disk
/// and certificates, and at the daemon, and changes nothing. Each check is ok, a warning or failed;
/// with one that failed the exit code is 1.
///
/// Example: gantry doctor --state-dir /var/lib/gantry
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Say nothing of what is ok
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) async fn run(ctx: &mut Context<'_>, args: Args) -> Result<(), CommandError> {
    let (machine, state_dir, json) = (ctx.machine.clone(), ctx.state_dir(), ctx.json());
    let coloured = ctx.io.stdout_is_terminal && ctx.io.var("NO_COLOR").is_none();
    let mut findings = Vec::new();
    let out = if json { &mut ctx.io.stderr } else { &mut ctx.io.stdout };
    // Said as it is found: some checks take a while.
    let mut say = |finding: Finding| {
        let is_hidden = json || (args.quiet && finding.verdict == Verdict::Ok);
        if !is_hidden {
            // Whoever has closed the output is told by the exit code.
            drop(write_finding(out, &finding, coloured).and_then(|()| out.flush()));
        }
        findings.push(finding);
    };
    machine.doctor(state_dir, &mut say).await?;
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let (n_failed, n_warnings) = (count(Verdict::Failed), count(Verdict::Warning));
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check,
                "verdict": finding.verdict.as_str(),
                "found": finding.found,
                "advice": finding.advice,
            })
        })
        .collect();
    ctx.set_document(json!({"failed": n_failed, "warnings": n_warnings, "checks": rows}));
    if !json {
        let n_checks = findings.len();
        ctx.say(&format!("{n_checks} checks: {n_failed} failed, {n_warnings} warnings"))?;
    }
    match n_failed {
        0 => Ok(()),
        _ => Err(CommandError::new(CommandErrorKind::Failed, Failure::Checks { n_failed })),
    }
}

fn write_finding(
    out: &mut (dyn std::io::Write + Send),
    finding: &Finding,
    coloured: bool,
) -> std::io::Result<()> {
    let word = format!("{:<7}", finding.verdict.as_str());
    let word = match (coloured, finding.verdict) {
        (false, _) => word,
        (true, Verdict::Ok) => word.green().to_string(),
        (true, Verdict::Warning) => word.yellow().to_string(),
        (true, Verdict::Failed) => word.red().to_string(),
    };
    writeln!(out, "{word}  {:<16}  {}", finding.check, finding.found)?;
    match &finding.advice {
        Some(advice) => writeln!(out, "{:27}{advice}", ""),
        None => Ok(()),
    }
}
