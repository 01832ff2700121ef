//! Exit codes (C200): the only place where they are chosen.

use crate::error::CommandErrorKind;

/// With what a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// Failed, or not begun.
    pub const FAILURE: Self = Self(1);
    /// The command line cannot be read; also a damaged configuration.
    pub const USAGE: Self = Self(2);
    /// This host is in no cluster.
    pub const NOT_A_CLUSTER: Self = Self(5);
    /// Only the master does this, and there is none to pass it to.
    pub const NOT_MASTER: Self = Self(11);
    /// A node could not be set up.
    pub const NODE_SETUP: Self = Self(12);
    /// It has to be confirmed, and was not.
    pub const CONFIRMATION: Self = Self(13);
    /// A list was asked for a field that does not exist.
    pub const UNKNOWN_FIELD: Self = Self(14);
    /// A bug in this program (`EX_SOFTWARE` of sysexits).
    pub const INTERNAL: Self = Self(70);
}

impl From<CommandErrorKind> for ExitCode {
    fn from(kind: CommandErrorKind) -> Self {
        match kind {
            CommandErrorKind::Failed
            | CommandErrorKind::NoSubcommand
            | CommandErrorKind::Declined
            | CommandErrorKind::Interrupted
            | CommandErrorKind::BrokenPipe => Self::FAILURE,
            CommandErrorKind::Usage | CommandErrorKind::CorruptConfiguration => Self::USAGE,
            CommandErrorKind::NotACluster => Self::NOT_A_CLUSTER,
            CommandErrorKind::NotMaster => Self::NOT_MASTER,
            CommandErrorKind::NodeSetup => Self::NODE_SETUP,
            CommandErrorKind::ConfirmationNeeded => Self::CONFIRMATION,
            CommandErrorKind::UnknownField => Self::UNKNOWN_FIELD,
            CommandErrorKind::Internal => Self::INTERNAL,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C200 C224
    #[test]
    fn the_numbers_are_ganetis() {
        for (kind, number) in [
            (CommandErrorKind::Failed, 1),
            (CommandErrorKind::NoSubcommand, 1),
            (CommandErrorKind::Declined, 1),
            (CommandErrorKind::Interrupted, 1),
            (CommandErrorKind::BrokenPipe, 1),
            (CommandErrorKind::Usage, 2),
            (CommandErrorKind::CorruptConfiguration, 2),
            (CommandErrorKind::NotACluster, 5),
            (CommandErrorKind::NotMaster, 11),
            (CommandErrorKind::NodeSetup, 12),
            (CommandErrorKind::ConfirmationNeeded, 13),
            (CommandErrorKind::UnknownField, 14),
            (CommandErrorKind::Internal, 70),
        ] {
            assert_eq!(ExitCode::from(kind), ExitCode(number), "{kind:?}");
        }
    }
}
