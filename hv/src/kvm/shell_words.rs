//! Words of a text as a shell would take them: blanks separate, quotes and backslashes keep. No
//! variables, no globs: nothing of it is ever given to a shell.

/// The words; nothing if a quote or a backslash is not ended.
pub(super) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: H62
    #[test]
    fn quotes_and_backslashes_keep_blanks() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("  -a  b ", &["-a", "b"]),
            (r#"-smbios 'type=1,serial=a b'"#, &["-smbios", "type=1,serial=a b"]),
            (r#"x"y z"'' "" \ "#, &["xy z", "", " "]),
            (r#""a\"b\n""#, &[r#"a"b\n"#]),
            (r"a\\b", &[r"a\b"]),
        ];
        for (text, words) in cases {
            let expected = words.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(split(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_ended_is_no_list_of_words() {
        for bad in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
