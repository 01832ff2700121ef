//! Words, numbers, quoted texts and operators, each with its place.

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A field, or one of the words of the language.
    Word(String),
    /// A whole number; `None` when it has too many digits.
    Number(Option<i64>),
    /// What stands between quotes.
    Quoted(String),
    /// `==`, `<` and so on, with `=*` and `!*`.
    Operator(&'static str),
    /// `(`
    Open,
    /// `)`
    Close,
    /// A regular expression, which only an operator before it makes one.
    Pattern { text: String, flags: String },
    /// Something else: what cannot begin anything, or a quote that has no end.
    Wrong(&'static str),
    /// There is no more.
    End,
}

/// Reads token after token. Places are counted in characters.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    at: usize,
}

/// Longer ones first.
const OPERATORS: [&str; 11] = ["==", "=~", "=*", "!=", "!~", "!*", "<=", ">=", "=", "<", ">"];

/// What can stand around a regular expression.
const DELIMITERS: [char; 4] = ['/', '#', '^', '|'];

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, at: 0 }
    }

    /// The place of the next token, which is that of its first character.
    pub(super) fn place(&mut self) -> usize {
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        let n_blanks = self.rest.chars().take_while(|&c| blank(c)).count();
        // All of them are one byte.
        self.take(n_blanks, n_blanks);
        self.at
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        self.place();
        let Some(first) = self.rest.chars().next() else { return Token::End };
        if let Some(operator) = OPERATORS.into_iter().find(|op| self.rest.starts_with(op)) {
            self.take(operator.len(), operator.len());
            return Token::Operator(operator);
        }
        match first {
            '(' => self.single(Token::Open),
            ')' => self.single(Token::Close),
            '"' | '\'' => self.quoted(first),
            '0'..='9' | '+' | '-' => self.number(),
            c if c.is_ascii_alphabetic() => self.word(),
            _ => Token::Wrong("a field, a value or a parenthesis"),
        }
    }

    /// The next token where a regular expression must stand.
    pub(super) fn pattern(&mut self) -> Token {
        self.place();
        let rest = self.rest.strip_prefix('m').unwrap_or(self.rest);
        let mut chars = rest.chars();
        let Some(delimiter) = chars.next().filter(|c| DELIMITERS.contains(c)) else {
            return Token::Wrong("a regular expression between two of one of / # ^ |");
        };
        let mut text = String::new();
        loop {
            match chars.next() {
                None | Some('\n' | '\r') => {
                    return Token::Wrong("a regular expression with an end");
                }
                Some(c) if c == delimiter => break,
                Some('\\') => match chars.next() {
                    None => return Token::Wrong("a regular expression with an end"),
                    Some(c) => text.push(unescaped(c)),
                },
                Some(c) => text.push(c),
            }
        }
        let after = chars.as_str().trim_start_matches([' ', '\t', '\n', '\r']);
        let n_flags = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let flags = &after[..n_flags];
        // A word of the language is no set of flags.
        let (flags, left) = match flags {
            "and" | "or" => ("", chars.as_str()),
            flags => (flags, &after[n_flags..]),
        };
        let flags = flags.to_owned();
        let used = &self.rest[..self.rest.len() - left.len()];
        self.take(used.len(), used.chars().count());
        Token::Pattern { text, flags }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    fn take(&mut self, n_bytes: usize, n_chars: usize) {
        self.rest = &self.rest[n_bytes..];
        self.at += n_chars;
    }

    fn single(&mut self, token: Token) -> Token {
        self.take(1, 1);
        token
    }

    fn word(&mut self) -> Token {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.');
        let n = self.rest.chars().take_while(|&c| is_part(c)).count();
        let word = self.rest[..n].to_owned();
        self.take(n, n);
        Token::Word(word)
    }

    fn number(&mut self) -> Token {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let n = self.rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if n == 0 {
            return Token::Wrong("digits after a sign");
        }
        let number = self.rest[..sign + n].parse().ok();
        self.take(sign + n, sign + n);
        Token::Number(number)
    }

    /// Two quotes, and a quote after a backslash, do not end it; both stay as they stand.
    fn quoted(&mut self, quote: char) -> Token {
        let mut chars = self.rest.chars();
        chars.next();
        let mut text = String::new();
        loop {
            match chars.next() {
                None | Some('\n' | '\r') => return Token::Wrong("a quoted text with an end"),
                Some(c) if c == quote => {
                    if !chars.as_str().starts_with(quote) {
                        break;
                    }
                    chars.next();
                    text.extend([quote, quote]);
                }
                Some('\\') => match chars.next() {
                    None => return Token::Wrong("a quoted text with an end"),
                    Some(c) => text.extend(['\\', c]),
                },
                Some(c) => text.push(c),
            }
        }
        let used = &self.rest[..self.rest.len() - chars.as_str().len()];
        self.take(used.len(), used.chars().count());
        Token::Quoted(text)
    }
}

/// What stands for a character after a backslash: blanks by their letters, everything else itself.
fn unescaped(c: char) -> char {
    match c {
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        c => c,
    }
}
