//! The serial console of a guest, heard through the program that operators use.

use crate::rig::{Cluster, Program, eventually};

/// Opens a console by asking a node; types `keys` and goes on listening.
pub(crate) fn open(cluster: &Cluster, node: usize, name: &str, keys: &str) -> Program {
    let typed = cluster.place.join(&format!("keys-{node}-{keys}"));
    std::fs::write(&typed, keys).expect("the keys");
    cluster.spawn_with(node, &["instance", "console", name], Some(&typed))
}

/// Waits until the guest has said something.
pub(crate) fn wait_says(console: &Program, wanted: &str) {
    eventually(&format!("the console says {wanted:?}"), || {
        console.stdout().contains(wanted).then_some(())
    });
}
