//! Hypervisors: the trait, kvm, fake, the conformance suite.
//!
//! It owns: what a hypervisor promises ([`Hypervisor`]), the one per kind on a node
//! ([`HypervisorRegistry`]), running guests under QEMU ([`kvm`]), guests that are only records
//! ([`fake`]), serial consoles ([`ConsoleHub`]), the tests that every hypervisor passes
//! ([`conformance`]) and the guest that they use ([`guest`]). Called by the node's actors.
//!
//! Deliberately absent: storage (disks arrive attached, as [`DiskSource`]), leases and fencing
//! tokens (the node's actors check them before they call), actors, the configuration.

pub mod conformance;
mod console;
mod contract;
mod epoch;
mod error;
pub mod fake;
pub mod guest;
pub mod kvm;
mod registry;

pub use console::{CONSOLE_KEPT_BYTES, Console, ConsoleHub};
pub use contract::{
    Capabilities, ConsoleStream, DiskSource, EVENTS_KEPT, GuestChange, GuestIntent, HvEvent,
    HvFacts, Hypervisor, Listing, Started, StoppedBy,
};
pub use error::HvError;
pub use registry::HypervisorRegistry;
