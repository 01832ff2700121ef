//! `gantry-benches [question ...] [--passes N] [--quick] [--json]`

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use gantry_benches::{Options, QUESTIONS, Question, Report, serve};

/// The first argument by which the harness starts itself as the other process.
const SERVE: &str = "serve";

struct Wanted {
    questions: Vec<&'static Question>,
    options: Options,
    json: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == SERVE => serve(rest),
        _ => parse(&words).and_then(|wanted| measure(&wanted)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a program says why it failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("gantry-benches: {error:#}");
    ExitCode::FAILURE
}

fn parse(words: &[String]) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { questions: Vec::new(), options: Options::default(), json: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => wanted.options.quick = true,
            "--json" => wanted.json = true,
            "--passes" => {
                let n = words.next().context("--passes needs a number")?;
                let n = n.parse().with_context(|| format!("--passes {n}"))?;
                if n == 0 {
                    bail!("--passes 0: at least 1 is needed");
                }
                wanted.options.n_passes = Some(n);
            }
            name => {
                let known = || QUESTIONS.iter().map(|q| q.name).collect::<Vec<_>>().join(", ");
                let question = QUESTIONS.iter().find(|question| question.name == name);
                let unknown = || format!("no question {name:?}; there are: {}", known());
                wanted.questions.push(question.with_context(unknown)?);
            }
        }
    }
    if wanted.questions.is_empty() {
        wanted.questions = QUESTIONS.iter().collect();
    }
    Ok(wanted)
}

/// Every question is asked even when one of them fails; the first failure is the program's.
#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn measure(wanted: &Wanted) -> anyhow::Result<()> {
    let mut failed = Ok(());
    let mut report = Report::begin()?;
    for question in &wanted.questions {
        let answer =
            (question.run)(&wanted.options).with_context(|| format!("question {}", question.name));
        match answer {
            Ok(figures) => {
                if !wanted.json {
                    print!("{}", Report::table(question.name, &figures));
                }
                report.add(question.name, figures);
            }
            Err(error) => {
                fail(&error);
                failed = failed.and(Err(error));
            }
        }
    }
    report.end()?;
    match wanted.json {
        true => println!("{}", report.json()),
        false => println!("{}", report.machine()),
    }
    failed.context("not every question was answered")
}
