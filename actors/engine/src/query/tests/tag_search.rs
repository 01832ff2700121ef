//! Tags that are looked for.

use std::sync::Arc;

use gantry_model::deltas::ConfigDelta;
use gantry_model::query::Pattern;

use crate::query::search_tags;
use crate::state::tests::sample::{Log, instance};

// covers: C23 S40
#[test]
fn tags_are_found_with_the_path_of_what_has_them() {
    let mut log = Log::new();
    log.config(vec![ConfigDelta::InstanceAdd(Box::new(instance(1)))]);
    let mut state = log.state;
    let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    Arc::make_mut(state.cluster.as_mut().expect("there is one")).tags = tags(&["web", "zone:a"]);
    let node = *state.nodes.keys().next().expect("one");
    let instance = *state.instances.keys().next().expect("one");
    Arc::make_mut(state.nodes.get_mut(&node).expect("one")).tags = tags(&["zone:b"]);
    Arc::make_mut(state.instances.get_mut(&instance).expect("one")).tags = tags(&["web", "db"]);
    let group = *state.groups.keys().next().expect("one");
    Arc::make_mut(state.groups.get_mut(&group).expect("one")).tags = tags(&["zone:c"]);
    let search = |pattern: &str| -> Vec<String> {
        let found = search_tags(&state, &Pattern::new(pattern).expect("usable"));
        found.into_iter().map(|found| format!("{} {}", found.path, found.tag)).collect()
    };
    let name = &state.nodes[&node].name;
    let expected = [
        "/cluster zone:a".into(),
        "/nodegroup/default zone:c".into(),
        format!("/nodes/{name} zone:b"),
    ];
    assert_eq!(search("zone"), expected);
    let guest = &state.instances[&instance].name;
    assert_eq!(search("^web$"), ["/cluster web".into(), format!("/instances/{guest} web")]);
    assert_eq!(search("nothing"), Vec::<String>::new());
}
