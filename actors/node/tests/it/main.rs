//! The journal, and the actors of a node over real journals and fake backends, on the simulated
//! platform.

mod bench;
mod calls;
mod console;
mod crashes;
mod disk_trouble;
mod facts;
mod faulty;
mod guests;
mod journal;
mod qemu;
mod reports;
mod starting;
