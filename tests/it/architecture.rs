//! The crate graph is the architecture: which crate may import which of ours, read from the
//! manifests. An arrow that is not here needs a reason in ARCHITECTURE.md first.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may import of ours, besides in its tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("gantry-wire", &[]),
    ("gantry-model", &["gantry-wire"]),
    ("gantry-engine", &["gantry-model", "gantry-wire"]),
    ("gantry-link", &["gantry-wire"]),
    ("gantry-runtime", &["gantry-link", "gantry-wire"]),
    ("gantry-host", &[]),
    // Stands in for a crate that openraft uses.
    ("base2histogram", &[]),
    ("gantry-hv", &["gantry-model", "gantry-host", "gantry-wire"]),
    ("gantry-storage", &["gantry-model", "gantry-host", "gantry-wire"]),
    (
        "gantry-store",
        &["gantry-model", "gantry-engine", "gantry-link", "gantry-runtime", "gantry-wire"],
    ),
    (
        "gantry-master",
        &[
            "gantry-model",
            "gantry-engine",
            "gantry-store",
            "gantry-runtime",
            "gantry-link",
            "gantry-wire",
        ],
    ),
    (
        "gantry-node",
        &[
            "gantry-model",
            "gantry-runtime",
            "gantry-link",
            "gantry-hv",
            "gantry-storage",
            "gantry-host",
            "gantry-wire",
        ],
    ),
    ("gantry-client", &["gantry-model", "gantry-link", "gantry-wire"]),
    ("gantry-commands", &["gantry-model", "gantry-client", "gantry-wire"]),
];

/// Crates that put everything together, and so may import everything.
const WIRING: &[&str] = &["gantry-daemon", "gantry", "gantry-tests", "gantry-benches"];

/// Libraries that a crate must not use, whatever they are good for.
const BANNED: &[(&str, &[&str])] = &[
    ("gantry-wire", &["tokio", "actix", "quinn", "rand"]),
    ("gantry-model", &["tokio", "actix", "quinn", "rand"]),
    ("gantry-engine", &["tokio", "actix", "quinn", "rand", "rayon"]),
    ("gantry-link", &["actix", "actix-rt"]),
    ("gantry-client", &["actix", "actix-rt"]),
    ("gantry-commands", &["actix", "actix-rt"]),
    ("gantry-hv", &["actix", "actix-rt"]),
    ("gantry-storage", &["actix", "actix-rt"]),
    // Its unbounded and undeadlined sends stay behind the runtime.
    ("gantry-store", &["actix", "actix-rt"]),
    ("gantry-master", &["actix", "actix-rt"]),
    ("gantry-node", &["actix", "actix-rt"]),
];

fn imports() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    metadata
        .packages
        .iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), names)
        })
        .collect()
}

#[test]
fn every_arrow_between_our_crates_is_allowed() {
    let imports = imports();
    let ours: Vec<&String> = imports.keys().collect();
    let mut wrong = Vec::new();
    for (package, names) in &imports {
        if WIRING.contains(&package.as_str()) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(name, _)| name == package);
        let Some((_, allowed)) = allowed else {
            wrong.push(format!("{package} is not in the table of this test"));
            continue;
        };
        for name in names.iter().filter(|name| ours.contains(name)) {
            if !allowed.contains(&name.as_str()) {
                wrong.push(format!("{package} must not depend on {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_crate_uses_what_it_must_not_know() {
    let imports = imports();
    let mut wrong = Vec::new();
    for (package, banned) in BANNED {
        let names = imports.get(*package).expect("the crate exists");
        for name in banned.iter().filter(|name| names.iter().any(|used| used == *name)) {
            wrong.push(format!("{package} must not know {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_cryptography_provider_is_built() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata");
    let other = metadata.packages.iter().find(|package| package.name.as_str() == "aws-lc-rs");
    assert!(other.is_none(), "aws-lc-rs came in: a dependency has its default features on");
}

/// Code of the test-only next version. Others that turn it on would put it into the program.
#[test]
fn the_next_version_is_turned_on_by_the_tests_alone() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("the manifests can be read");
    let mut turned_on_by = Vec::new();
    for package in &metadata.packages {
        let wants = |features: &[String]| features.iter().any(|f| f.contains("next-version"));
        if package.dependencies.iter().any(|dependency| wants(&dependency.features)) {
            turned_on_by.push(package.name.to_string());
        }
        let default = package.features.get("default").cloned().unwrap_or_default();
        assert!(!wants(&default), "{} has it by default", package.name);
    }
    assert_eq!(turned_on_by, ["gantry-tests"]);
}
