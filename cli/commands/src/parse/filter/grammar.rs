//! The grammar, one function for each of its rules.

use gantry_model::query::{Comparison, FILTER_DEPTH_MAX, Filter, FilterValue, Pattern};

use super::FILTER_INPUT_BYTES_MAX;
use super::error::FilterError;
use super::lexer::{Lexer, Token};

/// Most characters of a text in the message about it. Less hides what is meant, more buries the
/// sentence.
const SHOWN_CHARS_MAX: usize = 40;

/// Reads a filter.
///
/// # Errors
/// When the text is none, or beyond a limit.
pub fn parse_filter(text: &str) -> Result<Filter, FilterError> {
    let refused = |at, expected: String| {
        let text = text.chars().take(FILTER_INPUT_BYTES_MAX).collect();
        FilterError { text, at, expected }
    };
    if text.len() > FILTER_INPUT_BYTES_MAX {
        let expected = format!("a text of at most {FILTER_INPUT_BYTES_MAX} bytes");
        return Err(refused(0, expected));
    }
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
    let parsed = parser.filter().and_then(|filter| {
        parser.end()?;
        filter.check_limits().map_err(|limit| Unexpected { at: 0, expected: limit.to_string() })?;
        Ok(filter)
    });
    parsed.map_err(|Unexpected { at, expected }| refused(at, expected))
}

/// What is expected at a place.
struct Unexpected {
    at: usize,
    expected: String,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn filter(&mut self) -> Result<Filter, Unexpected> {
        self.joined("or", Filter::Any, |parser| parser.joined("and", Filter::All, Self::negated))
    }

    /// Parts with a word between them; one alone is itself.
    fn joined(
        &mut self,
        word: &str,
        join: fn(Vec<Filter>) -> Filter,
        part: fn(&mut Self) -> Result<Filter, Unexpected>,
    ) -> Result<Filter, Unexpected> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.skip(word) {
            parts.push(part(self)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(join(parts)),
        }
    }

    fn negated(&mut self) -> Result<Filter, Unexpected> {
        let at = self.lexer.place();
        if self.depth == FILTER_DEPTH_MAX {
            let expected = format!("at most {FILTER_DEPTH_MAX} levels of parentheses and 'not'");
            return Err(Unexpected { at, expected });
        }
        self.depth += 1;
        let negated = if self.skip("not") {
            self.negated().map(|filter| Filter::Not(Box::new(filter)))
        } else if self.peek() == Token::Open {
            self.lexer.next();
            self.filter().and_then(|filter| self.close().map(|()| filter))
        } else {
            self.condition()
        };
        self.depth -= 1;
        negated
    }

    fn condition(&mut self) -> Result<Filter, Unexpected> {
        match self.peek() {
            Token::Word(word) if !is_word_of_the_language(&word) => {
                self.lexer.next();
                self.of_field(word)
            }
            Token::Number(_) | Token::Quoted(_) => {
                let value = self.value()?;
                self.contained(value)
            }
            Token::Wrong(what) => Err(self.unexpected(what)),
            _ => Err(self.unexpected("a field, a value, 'not' or '('")),
        }
    }

    /// What may follow a field.
    fn of_field(&mut self, field: String) -> Result<Filter, Unexpected> {
        let Token::Operator(operator) = self.peek() else {
            return Ok(Filter::IsTrue { field });
        };
        self.lexer.next();
        let not = |filter| Filter::Not(Box::new(filter));
        match operator {
            "=~" => self.pattern(field),
            "!~" => self.pattern(field).map(not),
            "=*" => self.glob(field),
            "!*" => self.glob(field).map(not),
            operator => {
                let comparison = Comparison::of_operator(operator)
                    .expect("every other operator of the lexer is a comparison");
                Ok(Filter::Compare { field, comparison, value: self.value()? })
            }
        }
    }

    /// What must follow a value that stands first.
    fn contained(&mut self, value: FilterValue) -> Result<Filter, Unexpected> {
        let negated = self.skip("not");
        if !self.skip("in") {
            return Err(self.unexpected(if negated { "'in'" } else { "'in' or 'not in'" }));
        }
        let field = match self.peek() {
            Token::Word(field) if !is_word_of_the_language(&field) => field,
            _ => return Err(self.unexpected("a field")),
        };
        self.lexer.next();
        let contains = Filter::Contains { field, value };
        Ok(if negated { Filter::Not(Box::new(contains)) } else { contains })
    }

    fn value(&mut self) -> Result<FilterValue, Unexpected> {
        match self.peek() {
            Token::Number(Some(number)) => {
                self.lexer.next();
                Ok(FilterValue::Number(number))
            }
            Token::Quoted(text) => {
                self.lexer.next();
                Ok(FilterValue::Text(text))
            }
            Token::Number(None) => Err(self.unexpected("a number of at most 18 digits")),
            Token::Wrong(what @ ("a quoted text with an end" | "digits after a sign")) => {
                Err(self.unexpected(what))
            }
            _ => Err(self.unexpected("a number or a quoted text")),
        }
    }

    fn pattern(&mut self, field: String) -> Result<Filter, Unexpected> {
        let at = self.lexer.place();
        let (text, flags) = match self.lexer.pattern() {
            Token::Pattern { text, flags } => (text, flags),
            Token::Wrong(what) => return Err(self.unexpected(what)),
            _ => return Err(self.unexpected("a regular expression")),
        };
        let text = match flags.as_str() {
            "" => text,
            flags => format!("(?{}){text}", known_flags(flags, at)?),
        };
        let pattern = Pattern::new(&text).map_err(|error| Unexpected {
            at,
            expected: format!("Invalid regular expression ({error})"),
        })?;
        Ok(Filter::Matches { field, pattern })
    }

    fn glob(&mut self, field: String) -> Result<Filter, Unexpected> {
        let at = self.lexer.place();
        match self.lexer.next() {
            Token::Quoted(glob) => {
                let refused =
                    |error| Unexpected { at, expected: format!("Invalid pattern ({error})") };
                let pattern = Pattern::of_glob(&glob).map_err(refused)?;
                Ok(Filter::Matches { field, pattern })
            }
            _ => Err(Unexpected { at, expected: "Expected a quoted text".to_owned() }),
        }
    }

    fn close(&mut self) -> Result<(), Unexpected> {
        match self.peek() {
            Token::Close => {
                self.lexer.next();
                Ok(())
            }
            _ => Err(self.unexpected("'and', 'or' or ')'")),
        }
    }

    fn end(&mut self) -> Result<(), Unexpected> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.unexpected("'and', 'or' or the end of text")),
        }
    }

    /// The next token, without taking it.
    fn peek(&self) -> Token {
        self.lexer.clone().next()
    }

    /// Takes this word if it is next.
    fn skip(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(next) if next == word);
        if found {
            self.lexer.next();
        }
        found
    }

    /// What is expected in place of the next token.
    fn unexpected(&mut self, expected: &str) -> Unexpected {
        let at = self.lexer.place();
        let found = match self.peek() {
            Token::End => "end of text".to_owned(),
            Token::Word(word) => shown(&word),
            Token::Operator(operator) => shown(operator),
            Token::Open => shown("("),
            Token::Close => shown(")"),
            Token::Number(_) => "a number".to_owned(),
            Token::Quoted(text) => shown(&text),
            Token::Pattern { text, .. } => shown(&text),
            Token::Wrong(_) => shown(&self.lexer.rest().chars().take(1).collect::<String>()),
        };
        Unexpected { at, expected: format!("Expected {expected}, found {found}") }
    }
}

/// A piece of the text within a message, which is one line whatever stands in the text.
fn shown(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    format!("'{}'", text.chars().take(SHOWN_CHARS_MAX).map(blank).collect::<String>())
}

/// No field is called so.
fn is_word_of_the_language(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "in")
}

/// The flags in Ganeti's order, as often as they were given.
fn known_flags(flags: &str, at: usize) -> Result<String, Unexpected> {
    let unknown: String = flags.chars().filter(|flag| !matches!(flag, 's' | 'i')).collect();
    if !unknown.is_empty() {
        let expected = format!("Unknown regular expression flags: '{unknown}'");
        return Err(Unexpected { at, expected });
    }
    let has = |flag: char| if flags.contains(flag) { String::from(flag) } else { String::new() };
    Ok(has('i') + &has('s'))
}
