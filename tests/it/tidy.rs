//! Style that a compiler does not check: sizes, heads, names. Every rule is in CONTRIBUTING.md.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines. Longer ones hold more than one thing.
const FILE_LINES_MAX: usize = 600;

/// Longest function, in lines. Longer ones decide and act at once.
const FUNCTION_LINES_MAX: usize = 70;

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 100;

/// Names that say nothing and therefore grow for ever.
const FORBIDDEN_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "manager", "data"];

/// Files and functions that are longer than the rule. May only shrink: take out what has become
/// short, never add.
const RATCHET: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_owned()
}

/// Every source file of ours, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["actors", "transport", "hv", "storage", "cli", "tests", "benches"]
            .iter()
            .map(|dir| root.join(dir))
            .collect();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below the root");
                let text = fs::read_to_string(&path).expect("a source file is text");
                found.push((name.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

fn allowed(name: &str, limit: usize) -> usize {
    RATCHET.iter().find(|(known, _)| *known == name).map_or(limit, |(_, lines)| *lines)
}

/// Names and lengths of functions. A function begins on a line with `fn ` and ends with the brace
/// that stands in the same column; the formatter sees to that.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.split("fn ").next().is_some_and(|before| {
            code.contains("fn ")
                && before.split_whitespace().all(|word| {
                    ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern"]
                        .contains(&word)
                })
        });
        if !is_function {
            continue;
        }
        let name: String = code
            .split("fn ")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        // A declaration without a body, or a body on the same line.
        let has_body = lines[start..]
            .iter()
            .find(|line| line.ends_with(['{', ';', '}']))
            .is_some_and(|line| line.ends_with('{'));
        if !has_body {
            continue;
        }
        let indent = line.len() - code.len();
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|line| *line == closing);
        if let Some(length) = end {
            found.push((name, length + 1));
        }
    }
    found
}

#[test]
fn files_are_not_long() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(name, lines)| *lines > allowed(name, FILE_LINES_MAX))
        .map(|(name, lines)| format!("{name}: {lines} lines, at most {FILE_LINES_MAX}"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn functions_are_not_long() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        for (function, lines) in functions(&text) {
            let key = format!("{name}:{function}");
            if lines > allowed(&key, FUNCTION_LINES_MAX) {
                long.push(format!("{key}: {lines} lines, at most {FUNCTION_LINES_MAX}"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn lines_are_not_long() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                long.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(long.is_empty(), "longer than {LINE_CHARS_MAX} characters:\n{}", long.join("\n"));
}

/// Otherwise tokio throws dice of its own, and one seed would not be one trace.
#[test]
fn every_select_says_in_which_order_it_looks() {
    let mut dicing = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, pair) in lines.windows(2).enumerate() {
            if pair[0].ends_with(concat!("select", "! {")) && pair[1] != "biased;" {
                dicing.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(dicing.is_empty(), "not biased:\n{}", dicing.join("\n"));
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no module documentation:\n{}", silent.join("\n"));
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let bad: Vec<String> = sources()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| {
            Path::new(name).with_extension("").iter().any(|part| {
                FORBIDDEN_NAMES.iter().any(|forbidden| part.to_str() == Some(forbidden))
            })
        })
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done_or_switched_off() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("#[", "allow("),
        concat!("#![", "allow("),
    ];
    let mut found = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_error_text_repeats_its_source() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if line.contains("#[error(") && line.contains(concat!("{sou", "rce}")) {
                found.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "the chain prints the source:\n{}", found.join("\n"));
}
