//! Units on instances.

mod create;
mod osparams;
mod reboot;
mod reinstall;
mod remove;
mod shutdown;
mod startup;
