//! The cell: what runs one actor. [`Core`] is the machine, `shell` puts it into an actix actor.

mod core;
mod group;
mod letter;
mod shell;

pub(crate) use self::core::Core;
pub(crate) use group::Seat;
pub(crate) use letter::{ClosureLetter, Letter, MessageLetter};
pub(crate) use shell::run;
