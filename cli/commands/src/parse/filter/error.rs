//! Where a filter cannot be read, and why.

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct FilterError {
    /// The text.
    pub text: String,
    /// Where: the number of characters before.
    pub at: usize,
    /// What is expected there.
    pub expected: String,
}

/// Longest line that is shown. What is further from the place is cut off: more would wrap on a
/// terminal, and the mark would stand under something else.
const SHOWN_CHARS_MAX: usize = 76;

/// Most characters before the place in a line that is cut.
const SHOWN_BEFORE_MAX: usize = 60;

impl FilterError {
    /// The line of the text that is meant, as much as fits, and a mark under the place.
    #[must_use]
    pub fn marked(&self) -> [String; 2] {
        let (start, column) = self.line_start();
        let line = self.text[start..].lines().next().unwrap_or_default();
        let n_cut = column.saturating_sub(SHOWN_BEFORE_MAX);
        let shown: String = line.chars().skip(n_cut).take(SHOWN_CHARS_MAX).collect();
        let blanks = shown.chars().map(|c| if c == '\t' { '\t' } else { ' ' });
        let before = blanks.chain(std::iter::repeat(' ')).take(column - n_cut);
        let mark = before.chain(std::iter::once('^')).collect();
        [shown, mark]
    }

    /// What is expected, with the place in Ganeti's words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (start, column) = self.line_start();
        let line = self.text[..start].matches('\n').count() + 1;
        format!("{}  (at char {}), (line:{line}, col:{})", self.expected, self.at, column + 1)
    }

    /// The text, as much of it as a message can take.
    #[must_use]
    pub fn shown(&self) -> String {
        let blank = |c: char| if c.is_control() { ' ' } else { c };
        let mut shown: String = self.text.chars().take(SHOWN_CHARS_MAX).map(blank).collect();
        if self.text.chars().nth(SHOWN_CHARS_MAX).is_some() {
            shown.push_str("...");
        }
        shown
    }

    /// Where the line of the place begins, in bytes, and the number of characters before the place.
    fn line_start(&self) -> (usize, usize) {
        let bytes = self.text.char_indices().nth(self.at).map_or(self.text.len(), |(at, _)| at);
        let start = self.text[..bytes].rfind('\n').map_or(0, |line_feed| line_feed + 1);
        (start, self.text[start..bytes].chars().count())
    }
}
