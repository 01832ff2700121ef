//! The serialised form, and its limits.

use serde_json::{Value, json};

use super::*;

fn read(value: &Value) -> Result<Filter, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

fn refused(value: &Value) -> String {
    read(value).expect_err("refused")
}

// covers: C212
#[test]
fn every_operator_is_read_and_written_as_ganeti_has_it() {
    for form in [
        json!(["&"]),
        json!(["|"]),
        json!(["&", ["?", "master"], ["|", ["==", "name", "a"], ["!", ["?", "offline"]]]]),
        json!(["==", "serial_no", 5]),
        json!(["!=", "name", "web1"]),
        json!(["<", "ctime", -1]),
        json!(["<=", "ctime", 1]),
        json!([">", "mfree", 512]),
        json!([">=", "mfree", 512]),
        json!(["=~", "name", "(?i)^node.*example.com$"]),
        json!(["=[]", "tags", "web"]),
        json!(["=[]", "disk.sizes", 1024]),
    ] {
        let filter = read(&form).expect("a filter");
        assert_eq!(serde_json::to_value(&filter).expect("encodes"), form);
        let wire = gantry_wire::encode(&filter).expect("encodes");
        assert_eq!(gantry_wire::decode::<Filter>(&wire).expect("decodes"), filter);
    }
}

// covers: C212
#[test]
fn the_old_equal_sign_is_read() {
    assert_eq!(read(&json!(["=", "name", "a"])), read(&json!(["==", "name", "a"])));
}

#[test]
fn what_is_no_filter_is_refused_with_the_reason() {
    for (form, expected) in [
        (json!("name"), "expected a filter"),
        (json!([]), "lacks an operator"),
        (json!(["~", "name", 1]), "unknown variant `~`"),
        (json!(["!"]), "lacks a filter after \"!\""),
        (json!(["!", ["?", "a"], ["?", "b"]]), "more operands than it takes"),
        (json!(["?"]), "lacks the name of a field"),
        (json!(["?", "a", "b"]), "more operands than it takes"),
        (json!(["==", "name"]), "lacks a number or text"),
        (json!(["==", "name", 1.5]), "did not match any variant"),
        (json!(["==", "name", null]), "did not match any variant"),
        (json!(["==", 5, "name"]), "expected a string"),
        (json!(["=~", "name", "("]), "regular expression: unclosed group"),
        (json!(["&", "name"]), "expected a filter"),
    ] {
        let error = refused(&form);
        assert!(error.contains(expected), "{form}: {error}");
    }
}

#[test]
fn limits_hold_for_what_is_read_and_for_what_is_made() {
    let leaf = json!(["?", "a"]);
    let nested = |n: usize| (0..n).fold(leaf.clone(), |inner, _| json!(["!", inner]));
    assert!(read(&nested(FILTER_DEPTH_MAX - 1)).is_ok());
    assert!(refused(&nested(FILTER_DEPTH_MAX)).contains("nested deeper"));

    let wide = |part: &Value, n: usize| {
        let parts = std::iter::once(json!("|")).chain(std::iter::repeat_n(part.clone(), n));
        Value::Array(parts.collect())
    };
    assert!(read(&wide(&leaf, FILTER_NODES_MAX - 1)).is_ok());
    assert!(refused(&wide(&leaf, FILTER_NODES_MAX)).contains("conditions"));

    let pattern = json!(["=~", "a", "x"]);
    assert!(read(&wide(&pattern, FILTER_PATTERNS_MAX)).is_ok());
    assert!(refused(&wide(&pattern, FILTER_PATTERNS_MAX + 1)).contains("regular expressions"));

    let long = "x".repeat(FILTER_TEXT_BYTES_MAX + 1);
    assert!(refused(&json!(["==", "a", long])).contains("bytes"));
    assert!(refused(&json!(["?", long])).contains("bytes"));

    let leaf = Filter::IsTrue { field: "a".into() };
    let made = |filter: Filter| filter.check_limits().expect_err("beyond");
    let deep = (0..FILTER_DEPTH_MAX).fold(leaf.clone(), |inner, _| Filter::Not(Box::new(inner)));
    assert_eq!(made(deep), FilterLimit::Depth);
    assert_eq!(made(Filter::All(vec![leaf; FILTER_NODES_MAX])), FilterLimit::Nodes);
    assert_eq!(made(Filter::IsTrue { field: long.clone() }), FilterLimit::Text);
    assert_eq!(made(Filter::one_of("a", [FilterValue::Text(long)])), FilterLimit::Text);
    let pattern = Pattern::new("x").expect("usable");
    let pattern = Filter::Matches { field: "a".into(), pattern };
    let patterns = Filter::Any(vec![pattern; FILTER_PATTERNS_MAX + 1]);
    assert_eq!(made(patterns), FilterLimit::Patterns);
}

// covers: C208
#[test]
fn filters_that_ask_for_names_are_seen() {
    let names = |form: Value| {
        let filter = read(&form).expect("a filter");
        filter.asks_only_for("name").map(|values| values.into_iter().cloned().collect::<Vec<_>>())
    };
    let text = |text: &str| FilterValue::Text(text.into());
    assert_eq!(names(json!(["==", "name", "a"])), Some(vec![text("a")]));
    let two = json!(["|", ["==", "name", "a"], ["|", ["=", "name", "b"]]]);
    assert_eq!(names(two), Some(vec![text("a"), text("b")]));
    assert_eq!(names(json!(["|"])), Some(Vec::new()));
    assert_eq!(names(json!(["|", ["==", "name", "a"], ["?", "master"]])), None);
    assert_eq!(names(json!(["==", "uuid", "a"])), None);
    assert_eq!(names(json!(["&", ["==", "name", "a"]])), None);
    assert_eq!(names(json!(["!=", "name", "a"])), None);
}
