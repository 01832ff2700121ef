//! Opcodes for tests of the queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Parameters;
use super::ganeti_json::{GanetiFields, OpJsonError};
use crate::levels::{LEVEL_FIRST, LEVEL_INTERRUPTIBLE};
use crate::names::NodeName;
use crate::units::Millis;

/// Longest delay: a day. Longer is a mistake in the unit; it would hold locks for weeks.
pub const DELAY_MAX: Millis = Millis(24 * 3600 * 1000);

/// Waits on the master, on nodes, or both (O66).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TestDelay {
    /// How long each time; more than 0, at most [`DELAY_MAX`].
    pub duration: Millis,
    /// Wait on the master.
    pub on_master: bool,
    /// Wait on these nodes, one after the other.
    pub on_nodes: Vec<NodeName>,
    /// How often; 0 is once without numbering.
    pub repeat: u32,
    /// Take no node locks.
    pub no_locks: bool,
    /// Wait on the master only, at a socket: whoever connects to it and sends a byte, or closes the
    /// connection, ends the wait and all that would follow. The job's log names the socket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interruptible: bool,
}

impl Default for TestDelay {
    fn default() -> Self {
        Self {
            duration: Millis(1),
            on_master: true,
            on_nodes: Vec::new(),
            repeat: 0,
            no_locks: true,
            interruptible: false,
        }
    }
}

impl Parameters for TestDelay {
    fn summary_detail(&self) -> Option<String> {
        let seconds = self.duration.0 / 1000;
        let mut text = format!("{seconds}.{:03}", self.duration.0 % 1000);
        while text.ends_with('0') && !text.ends_with(".0") {
            text.pop();
        }
        Some(text)
    }

    fn level(&self) -> u32 {
        if self.interruptible { LEVEL_INTERRUPTIBLE } else { LEVEL_FIRST }
    }

    fn shown(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        Some(self.in_ganeti())
    }

    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

/// What only the version after this one knows.
#[cfg(feature = "next-version")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TestNext {
    /// Answered again as the result.
    pub note: String,
}

#[cfg(feature = "next-version")]
impl Parameters for TestNext {
    fn summary_detail(&self) -> Option<String> {
        Some(self.note.clone())
    }

    fn read(fields: &mut GanetiFields) -> Result<Self, OpJsonError> {
        Self::from_fields(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_in_seconds_as_ganeti_prints_them() {
        for (millis, text) in [(1, "0.001"), (300, "0.3"), (10_000, "10.0"), (1_500, "1.5")] {
            let op = TestDelay { duration: Millis(millis), ..TestDelay::default() };
            assert_eq!(op.summary_detail().as_deref(), Some(text));
        }
    }
}
