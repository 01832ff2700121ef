//! The codes with which connections and streams are closed.

use quinn::VarInt;

/// Why one side closed. The numbers are on the wire and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseCode {
    /// The process is ending.
    Goodbye,
    /// This peer was forgotten; the process lives on.
    Forgotten,
    /// Another connection between the same two is kept instead.
    Duplicate,
    /// A newer connection of the same peer replaced this one.
    Superseded,
    /// Handshake or hello took too long.
    HelloTimeout,
    /// The hello was understood and refused.
    HelloRefused,
    /// Bytes on a stream were not frames. Used on streams.
    BadFrame,
    /// A limit on peers was reached.
    TooBusy,
    /// Credentials changed, and this peer's are no longer accepted.
    Untrusted,
    /// The code that takes messages panicked.
    ReceiverFailed,
    /// A bulk transfer has reached its end.
    BulkDone,
    /// A bulk transfer was given up before its end. Used on streams too.
    BulkGivenUp,
}

impl CloseCode {
    const ALL: [Self; 12] = [
        Self::Goodbye,
        Self::Forgotten,
        Self::Duplicate,
        Self::Superseded,
        Self::HelloTimeout,
        Self::HelloRefused,
        Self::BadFrame,
        Self::TooBusy,
        Self::Untrusted,
        Self::ReceiverFailed,
        Self::BulkDone,
        Self::BulkGivenUp,
    ];

    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Goodbye => 1,
            Self::Forgotten => 2,
            Self::Duplicate => 3,
            Self::Superseded => 4,
            Self::HelloTimeout => 5,
            Self::HelloRefused => 6,
            Self::BadFrame => 7,
            Self::TooBusy => 8,
            Self::Untrusted => 9,
            Self::ReceiverFailed => 10,
            Self::BulkDone => 11,
            Self::BulkGivenUp => 12,
        })
    }

    pub(super) fn from_number(number: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_own_number() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(code.number()), Some(code));
        }
        assert_eq!(CloseCode::from_number(VarInt::from_u32(0)), None);
    }
}
