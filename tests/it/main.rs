//! Tests over more than one crate: the shape of the code, and whole clusters.

mod architecture;
mod cluster;
mod enumeration;
mod tidy;
