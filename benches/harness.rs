//! Passes, medians, budgets and the table.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How much is measured.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Passes instead of the question's own number.
    pub n_passes: Option<usize>,
    /// A tenth of the work: shows that everything runs, not what it costs.
    pub quick: bool,
}

impl Options {
    /// Passes to make where a question has its own number.
    pub(crate) fn passes(&self, usual: usize) -> usize {
        self.n_passes.unwrap_or(if self.quick { usual.div_ceil(10) } else { usual })
    }

    /// Repetitions within a pass.
    pub(crate) fn repeats(&self, usual: usize) -> usize {
        if self.quick { usual.div_ceil(10) } else { usual }
    }
}

/// A question and who answers it.
#[derive(Debug)]
pub struct Question {
    /// Its name on the command line.
    pub name: &'static str,
    /// Measures.
    pub run: fn(&Options) -> anyhow::Result<Vec<Figure>>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// The ratio to the peer is at most this.
    RatioMax(f64),
    /// The figure is at most this, in its own unit.
    Max(f64),
    /// The figure is at least this, in its own unit.
    Min(f64),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Unit of the figure and of the peer's.
    pub unit: &'static str,
    /// The subject: a median over passes.
    pub ours: f64,
    /// Who else was measured in the same passes, and its median.
    pub peer: Option<(&'static str, f64)>,
    /// Median over passes of subject by peer.
    pub ratio: Option<f64>,
    /// What design.md asks for.
    pub budget: Option<Budget>,
}

impl Figure {
    /// A figure without a peer.
    pub(crate) fn alone(what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self { what: what.into(), unit, ours, peer: None, ratio: None, budget: None }
    }

    /// A figure from passes: element `n` of both lists was measured in pass `n`.
    pub(crate) fn of_passes(
        what: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        peer: (&'static str, &[f64]),
    ) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(peer.1).map(|(ours, peer)| ours / peer).collect();
        Self {
            peer: Some((peer.0, median(peer.1))),
            ratio: Some(median(&ratios)),
            ..Self::alone(what, unit, median(ours))
        }
    }

    /// The same with a budget.
    pub(crate) fn budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Whether the budget is kept; `None` without one.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        match self.budget? {
            Budget::RatioMax(max) => self.ratio.map(|ratio| ratio <= max),
            Budget::Max(max) => Some(self.ours <= max),
            Budget::Min(min) => Some(self.ours >= min),
        }
    }

    fn cells(&self) -> [String; 6] {
        let peer = self
            .peer
            .map_or("-".into(), |(name, value)| format!("{name}: {} {}", number(value), self.unit));
        let budget = match self.budget {
            None => "-".into(),
            Some(Budget::RatioMax(max)) => format!("<= {max}x"),
            Some(Budget::Max(max)) => format!("<= {} {}", number(max), self.unit),
            Some(Budget::Min(min)) => format!(">= {} {}", number(min), self.unit),
        };
        [
            self.what.clone(),
            format!("{} {}", number(self.ours), self.unit),
            peer,
            self.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}x")),
            budget,
            match self.is_met() {
                None => "-".into(),
                Some(true) => "met".into(),
                Some(false) => "MISSED".into(),
            },
        ]
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer.map(|(name, value)| json!({ "name": name, "value": value })),
            "ratio": self.ratio,
            "met": self.is_met(),
        })
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All figures of a run, and the machine's state around it.
#[derive(Debug)]
pub struct Report {
    answers: Vec<(&'static str, Vec<Figure>)>,
    load: Vec<String>,
}

impl Report {
    /// Notes the load before the first question.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub fn begin() -> anyhow::Result<Self> {
        Ok(Self { answers: Vec::new(), load: vec![load()?] })
    }

    /// Takes the answer to a question.
    pub fn add(&mut self, question: &'static str, figures: Vec<Figure>) {
        self.answers.push((question, figures));
    }

    /// Notes the load after the last question.
    ///
    /// # Errors
    /// When the system does not tell it.
    pub fn end(&mut self) -> anyhow::Result<()> {
        self.load.push(load()?);
        Ok(())
    }

    /// The lines of one question, as a table that is also Markdown.
    #[must_use]
    pub fn table(question: &str, figures: &[Figure]) -> String {
        let head = [question, "figure", "peer", "ratio", "budget", "met"].map(str::to_owned);
        let rows: Vec<[String; 6]> =
            std::iter::once(head).chain(figures.iter().map(Figure::cells)).collect();
        let mut text = String::new();
        for (n, row) in rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
                let _infallible = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if n == 0 {
                text.push_str("| --- | --- | --- | --- | --- | --- |\n");
            }
        }
        text.push('\n');
        text
    }

    /// What the machine did meanwhile.
    #[must_use]
    pub fn machine(&self) -> String {
        format!("load before and after: {}", self.load.join("; "))
    }

    /// The whole run.
    #[must_use]
    pub fn json(&self) -> Value {
        let answers: serde_json::Map<String, Value> = self
            .answers
            .iter()
            .map(|(name, figures)| ((*name).to_owned(), figures.iter().map(Figure::json).collect()))
            .collect();
        json!({ "load": self.load, "questions": answers })
    }
}

fn load() -> anyhow::Result<String> {
    let text = read(Path::new("/proc/loadavg"))?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// The text of a file, or an error that names it.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The value below which `percent` of all lie.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// Runs `work` and says how many nanoseconds each of `n` parts of it took.
pub(crate) async fn ns_each(n: usize, work: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_nanos() as f64 / n as f64
}

/// Runs `work` and says how many microseconds it took.
pub(crate) fn us_of<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_nanos() as f64 / 1e3, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_ratios_within_passes() {
        // The second pass ran on a machine ten times slower; the ratio does not see it.
        let figure =
            Figure::of_passes("x", "ns", &[20.0, 200.0, 22.0], ("peer", &[10.0, 100.0, 11.0]));
        assert_eq!(figure.ratio, Some(2.0));
        assert_eq!(figure.clone().budget(Budget::RatioMax(2.0)).is_met(), Some(true));
        assert_eq!(figure.clone().budget(Budget::RatioMax(1.9)).is_met(), Some(false));
        assert_eq!(figure.budget(Budget::Max(21.0)).is_met(), Some(false));
    }

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!([percentile(&values, 50), percentile(&values, 99)], [50.0, 99.0]);
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }
}
