//! A guest never runs twice. What the world noticed itself is in its violations; this is the look
//! at what runs now.

use std::collections::BTreeMap;

use gantry_hv::fake::FakeRunning;

/// At any time.
#[must_use]
pub fn check(running: &[FakeRunning]) -> Vec<String> {
    let mut places: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for guest in running {
        places.entry(guest.instance).or_default().push(&guest.node);
    }
    places.retain(|_, nodes| nodes.len() > 1);
    places.iter().map(|(instance, nodes)| format!("{instance} runs on {nodes:?}")).collect()
}
