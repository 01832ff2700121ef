//! An error with its causes on one line.
//!
//! The only place that walks `source()` to make text: errors say their own level only, and whoever
//! turns one into text for a log, a peer or a person uses [`ErrorChain`]. It is here because every
//! crate that does so may import this one.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes, outermost first, with `: ` between them.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    #[test]
    fn causes_follow_their_effect() {
        let inner = Level { text: "no such file", source: None };
        let outer = Level { text: "open the log", source: Some(Box::new(inner)) };
        assert_eq!(ErrorChain(&outer).to_string(), "open the log: no such file");
    }

    #[test]
    fn an_error_without_a_cause_is_itself() {
        let only = Level { text: "refused", source: None };
        assert_eq!(ErrorChain(&only).to_string(), "refused");
    }
}
