//! Key=value lists (C201): `a=b,c=d`, with `\,` for a comma and `\\` for a backslash.

use super::ParseError;

/// The value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// `key=text`.
    Text(String),
    /// A bare `key`.
    True,
    /// `no_key`.
    False,
    /// `-key`: take it away.
    Removed,
}

/// Keys with their values, in the order in which they were given; no key twice.
pub type KeyValues = Vec<(String, KeyValue)>;

const EXPECTED: &str = "a list such as key=value,key2=value2";

/// Reads a list. An empty text is an empty list.
///
/// # Errors
/// When a key is empty or given twice.
pub fn parse_key_values(text: &str) -> Result<KeyValues, ParseError> {
    let mut pairs: KeyValues = Vec::new();
    if text.is_empty() {
        return Ok(pairs);
    }
    for piece in split_escaped(text, ',') {
        let (key, value) = key_value(&piece);
        if key.is_empty() {
            return Err(ParseError::new("option", text, EXPECTED).in_command());
        }
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(ParseError::duplicate(&key));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Reads `name` or `name:key=value,…`, as hypervisor parameters and disks are given.
///
/// # Errors
/// When the name is empty, or the list behind it is none.
pub fn parse_named_key_values(text: &str) -> Result<(String, KeyValues), ParseError> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        let expected = "a list such as name:key=value,key2=value2";
        return Err(ParseError::new("option", text, expected).in_command());
    }
    Ok((name.to_owned(), parse_key_values(rest)?))
}

fn key_value(piece: &str) -> (String, KeyValue) {
    if let Some((key, value)) = piece.split_once('=') {
        return (key.to_owned(), KeyValue::Text(value.to_owned()));
    }
    if let Some(key) = piece.strip_prefix("no_") {
        return (key.to_owned(), KeyValue::False);
    }
    if let Some(key) = piece.strip_prefix('-') {
        return (key.to_owned(), KeyValue::Removed);
    }
    (piece.to_owned(), KeyValue::True)
}

/// Splits at separators that no backslash precedes, then takes the backslashes away.
fn split_escaped(text: &str, separator: char) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        let piece = pieces.last_mut().expect("there is always one piece");
        match c {
            _ if escaped => {
                piece.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == separator => pieces.push(String::new()),
            c => piece.push(c),
        }
    }
    if escaped {
        // A backslash before nothing means itself.
        pieces.last_mut().expect("there is always one piece").push('\\');
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &str) -> KeyValue {
        KeyValue::Text(value.to_owned())
    }

    // covers: C201
    #[test]
    fn the_forms_of_a_value() {
        let parsed = parse_key_values("a=b,c,no_d,-e,f=").expect("parses");
        let expected = [
            ("a", text("b")),
            ("c", KeyValue::True),
            ("d", KeyValue::False),
            ("e", KeyValue::Removed),
            ("f", text("")),
        ];
        assert_eq!(parsed, expected.map(|(key, value)| (key.to_owned(), value)));
    }

    // covers: C201
    #[test]
    fn a_backslash_keeps_commas_and_backslashes() {
        for (given, value) in
            [(r"a=x\,y", "x,y"), (r"a=x\\", r"x\"), (r"a=x\\\,y", r"x\,y"), (r"a=x\", r"x\")]
        {
            assert_eq!(parse_key_values(given), Ok(vec![("a".to_owned(), text(value))]), "{given}");
        }
    }

    #[test]
    fn empty_and_repeated_keys_are_refused() {
        for bad in [",", "a=1,", "=1", "a=1,a=2", "a,no_a", "no_", "-"] {
            assert!(parse_key_values(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_key_values(""), Ok(Vec::new()));
    }

    #[test]
    fn a_name_stands_before_the_colon() {
        let (name, pairs) = parse_named_key_values("kvm:kernel_args=a:b").expect("parses");
        assert_eq!(name, "kvm");
        assert_eq!(pairs, [("kernel_args".to_owned(), text("a:b"))]);
        assert_eq!(parse_named_key_values("kvm"), Ok(("kvm".to_owned(), Vec::new())));
        assert!(parse_named_key_values(":a=b").is_err());
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(values in proptest::collection::vec(".*", 1..4)) {
            let given: Vec<String> = values
                .iter()
                .enumerate()
                .map(|(i, v)| format!("k{i}={}", v.replace('\\', r"\\").replace(',', r"\,")))
                .collect();
            let parsed = parse_key_values(&given.join(",")).expect("parses");
            let back: Vec<KeyValue> = parsed.into_iter().map(|(_, value)| value).collect();
            let expected: Vec<KeyValue> = values.into_iter().map(KeyValue::Text).collect();
            prop_assert_eq!(back, expected);
        }

        #[test]
        fn any_text_gives_a_list_or_an_error(text: String) {
            let _ignored = parse_key_values(&text);
        }
    }
}
