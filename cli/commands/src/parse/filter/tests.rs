//! What the language accepts, what it becomes, and where it is refused.

use gantry_model::query::{Comparison, FILTER_DEPTH_MAX, FILTER_NODES_MAX, Filter, FilterValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn serial(text: &str) -> Value {
    let filter = parse_filter(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    serde_json::to_value(filter).expect("encodes")
}

fn refused(text: &str) -> FilterError {
    parse_filter(text).expect_err(text)
}

/// Texts with what Ganeti 3.0.2 makes of them.
const ACCEPTED: &str = include_str!("accepted.jsonl");

// covers: C211 C212
#[test]
fn what_ganeti_accepts_becomes_what_it_becomes_there() {
    let mut n_lines = 0;
    for line in ACCEPTED.lines() {
        let (text, expected): (String, Value) = serde_json::from_str(line).expect("a pair");
        assert_eq!(serial(&text), expected, "{text}");
        n_lines += 1;
    }
    assert!(n_lines > 50, "{n_lines}");
}

// covers: C211
#[test]
fn a_word_after_a_regular_expression_is_no_flag() {
    let expected = json!(["&", ["=~", "name", "a"], ["?", "master"]]);
    assert_eq!(serial("name =~ /a/ and master"), expected);
    assert_eq!(serial("name =~ /a/ i and master")[1], json!(["=~", "name", "(?i)a"]));
}

/// Texts with the characters before the place where they are refused, and what is expected there.
const REFUSED: &[(&str, usize, &str)] = &[
    ("", 0, "Expected a field, a value, 'not' or '(', found end of text"),
    ("   ", 3, "Expected a field, a value, 'not' or '(', found end of text"),
    ("#invalid!filter#", 0, "Expected a field, a value or a parenthesis, found '#'"),
    ("m/x/,", 4, "Expected 'and', 'or' or the end of text, found ','"),
    ("name=~m#a#g", 6, "Unknown regular expression flags: 'g'"),
    ("name=~^[^", 6, "Invalid regular expression (unclosed character class)"),
    ("asdf =~ m|abc|I", 8, "Unknown regular expression flags: 'I'"),
    ("name =~ /foobarbaz#", 8, "Expected a regular expression with an end, found '/'"),
    ("name =~ \"x\"", 8, "Expected a regular expression between two of one of / # ^ |, found 'x'"),
    ("name =~ /(/", 8, "Invalid regular expression (unclosed group)"),
    ("name =* foo", 8, "Expected a quoted text"),
    ("name <> value", 6, "Expected a number or a quoted text, found '>'"),
    ("name => value", 6, "Expected a number or a quoted text, found '>'"),
    ("name =< value", 6, "Expected a number or a quoted text, found '<'"),
    ("name === 1", 7, "Expected a number or a quoted text, found '='"),
    ("name ==", 7, "Expected a number or a quoted text, found end of text"),
    ("foo==bar", 5, "Expected a number or a quoted text, found 'bar'"),
    ("foo+=1", 3, "Expected 'and', 'or' or the end of text, found '+'"),
    ("*.site", 0, "Expected a field, a value or a parenthesis, found '*'"),
    ("x == 1.5", 6, "Expected 'and', 'or' or the end of text, found '.'"),
    ("x == 99999999999999999999", 5, "Expected a number of at most 18 digits, found a number"),
    ("a == - 5", 5, "Expected digits after a sign, found '-'"),
    ("a == 5 5", 7, "Expected 'and', 'or' or the end of text, found a number"),
    ("(a", 2, "Expected 'and', 'or' or ')', found end of text"),
    ("a)", 1, "Expected 'and', 'or' or the end of text, found ')'"),
    ("a b", 2, "Expected 'and', 'or' or the end of text, found 'b'"),
    ("a and", 5, "Expected a field, a value, 'not' or '(', found end of text"),
    ("and a", 0, "Expected a field, a value, 'not' or '(', found 'and'"),
    ("a or or b", 5, "Expected a field, a value, 'not' or '(', found 'or'"),
    ("not", 3, "Expected a field, a value, 'not' or '(', found end of text"),
    ("\"x\"", 3, "Expected 'in' or 'not in', found end of text"),
    ("5 not x", 6, "Expected 'in', found 'x'"),
    ("5 in 6", 5, "Expected a field, found a number"),
    ("\"\u{e9}\" == name", 4, "Expected 'in' or 'not in', found '=='"),
    ("name == \"x", 8, "Expected a quoted text with an end, found '\"'"),
    ("a == \"x\ny\"", 5, "Expected a quoted text with an end, found '\"'"),
    ("_a", 0, "Expected a field, a value or a parenthesis, found '_'"),
    ("\u{e9}", 0, "Expected a field, a value or a parenthesis, found '\u{e9}'"),
    ("!a", 0, "Expected a field, a value or a parenthesis, found '!'"),
    ("a == [1]", 5, "Expected a number or a quoted text, found '['"),
    ("name\nlike \"x\"", 5, "Expected 'and', 'or' or the end of text, found 'like'"),
    ("1a", 1, "Expected 'in' or 'not in', found 'a'"),
    ("0'\\\n'", 1, "Expected 'in' or 'not in', found '\\ '"),
];

// covers: C211 C213
#[test]
fn what_is_no_filter_is_refused_at_its_place() {
    for (text, at, expected) in REFUSED {
        let error = refused(text);
        assert_eq!((error.at, error.expected.as_str()), (*at, *expected), "{text:?}");
    }
}

// covers: C213
#[test]
fn the_place_is_marked_in_its_line() {
    let error = refused("a and\n\tb and ]\nor c");
    assert_eq!(error.marked(), ["\tb and ]", "\t      ^"]);
    let place = "(at char 13), (line:2, col:8)";
    assert_eq!(error.sentence().split_once("  ").expect("two parts").1, place);
    let error = refused("\u{e9}");
    assert_eq!(error.marked(), ["\u{e9}", "^"]);
    let error = refused("a ==");
    assert_eq!(error.marked(), ["a ==", "    ^"]);
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text = format!("{} ]", "a or ".repeat(100).trim_end_matches(" or "));
    let error = refused(&text);
    let [line, mark] = error.marked();
    assert!(line.chars().count() <= 76 && line.ends_with(" ]"), "{line}");
    assert_eq!(mark.chars().count(), line.chars().count());
    assert!(error.shown().ends_with("..."));
}

#[test]
fn texts_beyond_a_limit_are_refused() {
    let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(refused(&deep).expected, "a text of at most 65536 bytes");
    let deep = format!("{}a{}", "(".repeat(30_000), ")".repeat(30_000));
    assert_eq!(refused(&deep).at, FILTER_DEPTH_MAX);
    let deep = format!("{}a", "not ".repeat(FILTER_DEPTH_MAX));
    assert!(refused(&deep).expected.contains("levels"));
    assert!(parse_filter(&format!("{}a", "not ".repeat(FILTER_DEPTH_MAX - 1))).is_ok());
    let wide = vec!["a"; FILTER_NODES_MAX].join(" or ");
    assert_eq!(refused(&wide).expected, "it has more than 512 conditions");
    let long = format!("a == \"{}\"", "x".repeat(5000));
    assert_eq!(refused(&long).expected, "it has a text of more than 4096 bytes");
}

// covers: C208 C211
#[test]
fn arguments_are_names_globs_or_one_filter() {
    let args = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
    let is = |given: &[&str], is_filter| wanted(&args(given), is_filter, NamedBy::Name);
    let names = |given: &[&str]| Ok(Wanted::Names(args(given)));
    for name in ["node1", "n-o-d-e", "n_o_d_e", "node1.example.com", "node1.example.com."] {
        assert_eq!(is(&[name], false), names(&[name]));
    }
    assert_eq!(is(&[], false), names(&[]));
    assert_eq!(is(&["web1", "web2"], false), names(&["web1", "web2"]));
    assert_eq!(is(&["foo/bar", "a b"], false), names(&["foo/bar", "a b"]));
    let filter = |given: &[&str], is_filter| match is(given, is_filter) {
        Ok(Wanted::Filter(filter)) => serde_json::to_value(filter).expect("encodes"),
        other => panic!("{given:?}: {other:?}"),
    };
    assert_eq!(filter(&["foo/bar"], false), json!(["?", "foo/bar"]));
    assert_eq!(filter(&["foo=='bar'"], false), json!(["==", "foo", "bar"]));
    assert_eq!(filter(&["web1"], true), json!(["?", "web1"]));
    let globs = json!(["|", ["=~", "name", r"^[^.]*\.a(\..*)?$"], ["==", "name", "b"]]);
    assert_eq!(filter(&["*.a", "b"], false), globs);
    for given in [&[][..], &["1", "2"], &["", "", ""]] {
        assert_eq!(is(given, true), Err(WantedError::NotOne));
    }
    for (given, is_filter) in [("*.site", true), ("foo==bar", false), ("foo+=1", false)] {
        assert!(matches!(is(&[given], is_filter), Err(WantedError::Filter(_))), "{given}");
    }
}

// covers: C85
#[test]
fn jobs_are_named_by_numbers() {
    let is = |arg: &str| wanted(&[arg.to_owned()], false, NamedBy::JobId);
    assert_eq!(is("7"), Ok(Wanted::Names(vec!["7".to_owned()])));
    assert!(matches!(is("id > 7"), Ok(Wanted::Filter(_))));
    for bad in ["x", "-1", "1*", "99999999999999999999"] {
        assert_eq!(is(bad), Err(WantedError::NoJobId(bad.to_owned())));
    }
}

/// Writes a filter as one would type it.
fn typed(filter: &Filter, out: &mut String) {
    let value = |value: &FilterValue| match value {
        FilterValue::Number(number) => number.to_string(),
        FilterValue::Text(text) if text.contains('"') => format!("'{text}'"),
        FilterValue::Text(text) => format!("\"{text}\""),
    };
    let mut joined = |parts: &[Filter], word: &str| {
        for (i, part) in parts.iter().enumerate() {
            out.push_str(if i == 0 { "" } else { word });
            out.push('(');
            typed(part, out);
            out.push(')');
        }
    };
    match filter {
        Filter::All(parts) => joined(parts, " and "),
        Filter::Any(parts) => joined(parts, "or"),
        Filter::Not(part) => {
            out.push_str("not(");
            typed(part, out);
            out.push(')');
        }
        Filter::IsTrue { field } => out.push_str(field),
        Filter::Compare { field, comparison, value: with } => {
            out.push_str(&format!("{field}{}{}", comparison.as_str(), value(with)));
        }
        Filter::Matches { field, pattern } => {
            let text = pattern.as_str().replace('\\', r"\\").replace('/', r"\/");
            out.push_str(&format!("{field} =~ m/{text}/"));
        }
        Filter::Contains { field, value: with } => {
            out.push_str(&format!("{} in\t{field}", value(with)));
        }
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let field = || {
        "[a-zA-Z][a-zA-Z0-9_./]{0,8}".prop_filter("a word of the language", |name| {
            !["and", "or", "not", "in"].contains(&name.as_str())
        })
    };
    let value = || {
        prop_oneof![
            any::<i64>().prop_map(FilterValue::Number),
            "[^\"'\\\\\n\r]{0,12}".prop_map(FilterValue::Text),
            "[a-z\"]{0,3}[a-z]".prop_map(FilterValue::Text),
        ]
    };
    let pattern = r"[a-z^$.]{0,6}(\\[dw./])?"
        .prop_map(|text| gantry_model::query::Pattern::new(&text).expect("usable"));
    let leaf = prop_oneof![
        field().prop_map(|field| Filter::IsTrue { field }),
        (field(), proptest::sample::select(Comparison::ALL.to_vec()), value())
            .prop_map(|(field, comparison, value)| Filter::Compare { field, comparison, value }),
        (field(), pattern).prop_map(|(field, pattern)| Filter::Matches { field, pattern }),
        (field(), value()).prop_map(|(field, value)| Filter::Contains { field, value }),
    ];
    leaf.prop_recursive(5, 32, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several().prop_map(Filter::All),
            several().prop_map(Filter::Any),
            inner.clone().prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

/// Pieces of the language, so that nonsense comes near to sense.
fn nonsense() -> impl Strategy<Value = String> {
    let pieces = [
        "a", "name", "not", "and", "or", "in", "(", ")", "=", "==", "!=", "=~", "!~", "=*", "!*",
        "<", "<=", "/", "m/x/", "#", "^", "|", "\"", "'", "\\", "5", "-1", "+", " ", "\t", "\n",
        "\u{e9}", "[", "i", "\"x\"", "/(/",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    // covers: C211
    #[test]
    fn what_is_typed_is_what_was_meant(filter in filters()) {
        let mut text = String::new();
        typed(&filter, &mut text);
        prop_assert_eq!(parse_filter(&text), Ok(filter), "{}", text);
    }

    // covers: C213
    #[test]
    fn every_text_is_a_filter_or_refused_within_itself(
        text in prop_oneof![nonsense(), any::<String>()],
    ) {
        match parse_filter(&text) {
            Ok(filter) => prop_assert_eq!(filter.check_limits(), Ok(())),
            Err(error) => {
                prop_assert!(error.at <= text.chars().count());
                let [line, mark] = error.marked();
                prop_assert!(!line.contains('\n') && mark.ends_with('^'));
                prop_assert!(!error.sentence().contains('\n'));
            }
        }
    }
}
