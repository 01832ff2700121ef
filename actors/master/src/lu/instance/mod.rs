//! Units on instances.

mod create;
mod reboot;
mod reinstall;
mod remove;
mod shutdown;
mod startup;
