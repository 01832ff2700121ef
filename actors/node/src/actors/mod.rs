//! The actors of a node: `/node/<uuid>`, `/instance/<uuid>`, `/instance/<uuid>/disk/<n>`.
//!
//! They translate: messages into calls, events of hypervisors into reports. What they share is in
//! `env`; what must survive them is in the journal and in the world.

mod activate;
mod disk;
mod guests;
mod inspect;
mod instance;
mod node;
mod reports;

pub(crate) use activate::{activate, activator};
pub(crate) use instance::InstanceActor;
pub(crate) use node::{NodeActor, Readiness};
