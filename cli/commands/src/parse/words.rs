//! Words of a line as a shell splits them: blanks between words, quotes, backslashes.
//!
//! Deliberately absent: everything else that a shell does with a line.

/// A line that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// A quote is opened and not closed.
    #[error("a quote is not closed")]
    OpenQuote,
    /// The last character is a backslash.
    #[error("nothing follows the last backslash")]
    OpenEscape,
}

/// Splits a line.
///
/// # Errors
/// When a quote or a backslash has nothing that ends it.
pub fn split_words(line: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let next = chars.next().ok_or(WordsError::OpenEscape)?;
                word.get_or_insert_default().push(next);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(WordsError::OpenQuote)? {
                        end if end == c => break,
                        '\\' if c == '"' => {
                            let next = chars.next().ok_or(WordsError::OpenQuote)?;
                            // Elsewhere it is a character as any other.
                            if !matches!(next, '"' | '\\') {
                                word.push('\\');
                            }
                            word.push(next);
                        }
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C209
    #[test]
    fn words_are_split_as_by_a_shell() {
        for (line, expected) in [
            ("", &[][..]),
            ("  ", &[]),
            ("-o name", &["-o", "name"]),
            (" a  b\t", &["a", "b"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            ("--separator='|'x", &["--separator=|x"]),
            (r"a\ b \'", &["a b", "'"]),
            (r#""a\"b\c" '\d'"#, &[r#"a"b\c"#, r"\d"]),
            ("''", &[""]),
        ] {
            assert_eq!(split_words(line).expect(line), expected, "{line}");
        }
        assert_eq!(split_words("'a"), Err(WordsError::OpenQuote));
        assert_eq!(split_words("\"a\\\""), Err(WordsError::OpenQuote));
        assert_eq!(split_words("a\\"), Err(WordsError::OpenEscape));
    }
}
