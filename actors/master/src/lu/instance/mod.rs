//! Units on instances.

mod create;
mod reboot;
mod remove;
mod shutdown;
mod startup;
