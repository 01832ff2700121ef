//! The cell: what runs one actor. [`Core`] is the machine, `shell` makes it a task.

mod core;
mod group;
mod letter;
mod shell;
mod turn_clock;

pub(crate) use self::core::{Core, Lifetime};
pub(crate) use group::Seat;
pub(crate) use letter::{ClosureLetter, Letter, MessageLetter, Opened};
pub(crate) use shell::run;
