//! Values as Python writes them: Ganeti prints structures so, and scripts cut them apart.

use serde_json::Value;

/// `repr()` of a value.
#[must_use]
pub fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(python).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), python(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// In single quotes, or in double ones when that saves escaping.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!(r"\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // covers: C206 C218
    #[test]
    fn structures_are_pythons() {
        for (value, text) in [
            (json!(["loop", "/srv/d"]), "['loop', '/srv/d']"),
            (
                json!({"maxmem": 128, "auto_balance": true, "x": null}),
                "{'auto_balance': True, 'maxmem': 128, 'x': None}",
            ),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\""), r#"'it\'s "so"'"#),
            (json!("a\nb\u{1}"), r"'a\nb\x01'"),
            (json!([]), "[]"),
            (json!({}), "{}"),
        ] {
            assert_eq!(python(&value), text);
        }
    }
}
