//! The locks of the store's own forms, and what the comparison finds.

use std::path::Path;

use gantry_store::schema::{self, BLESS_VARIABLE, Change, Form, LockError, compare, verify};
use schemars::JsonSchema;
use serde_json::Value;

#[test]
fn every_form_is_what_its_lock_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let bless = std::env::var(BLESS_VARIABLE).is_ok_and(|value| value == "1");
    let failures: Vec<String> = schema::forms()
        .iter()
        .filter_map(|form| verify(&dir, form, bless).err())
        .map(|error| error.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_lock_is_left_without_its_form() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    for file in std::fs::read_dir(dir).expect("there are locks") {
        let path = file.expect("readable").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert!(schema::forms().iter().any(|form| form.name == stem), "{}", path.display());
    }
}

fn of<T: JsonSchema>() -> Value {
    Form::of::<T>("test", 1).schema
}

fn changes<A: JsonSchema, B: JsonSchema>() -> Vec<(String, Change)> {
    compare(&of::<A>(), &of::<B>()).into_iter().map(|found| (found.path, found.change)).collect()
}

/// Declares types of the same name in modules of their own, as versions of one.
macro_rules! versions {
    ($($version:ident { $($item:item)* })*) => { $(
        #[expect(dead_code, reason = "only their schemas are looked at")]
        mod $version {
            use schemars::JsonSchema;
            use serde::Deserialize;
            $(#[derive(JsonSchema, Deserialize)] $item)*
        }
    )* };
}

versions! {
    base {
        pub(super) struct Outer { id: u64, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: String, maybe: Option<u32> }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8) }
    }
    base_with_more {
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8), More { path: String } }
    }
    optional_field_added {
        pub(super) struct Outer {
            id: u64, inner: Inner, list: Vec<Inner>, kind: Kind,
            #[serde(default)] more: u64,
        }
        pub(super) struct Inner { text: String, maybe: Option<u32>, later: Option<String> }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8) }
    }
    required_field_added {
        pub(super) struct Outer { id: u64, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: String, maybe: Option<u32>, must: bool }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8) }
    }
    field_renamed {
        pub(super) struct Outer { uuid: u64, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: String, maybe: Option<u32> }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8) }
    }
    field_retyped {
        pub(super) struct Outer { id: u32, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: Vec<u8>, maybe: Option<u32> }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u16) }
    }
    variants_changed {
        pub(super) struct Outer { id: u64, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: String, maybe: Option<u32> }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { title: String }, Other(u8) }
    }
    became_required {
        pub(super) struct Outer { id: u64, inner: Inner, list: Vec<Inner>, kind: Kind }
        pub(super) struct Inner { text: String, maybe: u32 }
        #[serde(rename_all = "snake_case")]
        pub(super) enum Kind { Plain, Named { name: String }, Tuple(u8) }
    }
}

#[test]
fn an_added_optional_field_is_compatible() {
    assert_eq!(changes::<base::Outer, optional_field_added::Outer>(), []);
}

#[test]
fn taking_an_optional_field_away_again_is_not() {
    let found = changes::<optional_field_added::Outer, base::Outer>();
    assert!(found.contains(&("$.more".into(), Change::FieldRemoved)), "{found:?}");
    assert!(found.contains(&("$.inner.later".into(), Change::FieldRemoved)), "{found:?}");
}

#[test]
fn an_added_required_field_is_incompatible_once_however_often_it_is_used() {
    let found = changes::<base::Outer, required_field_added::Outer>();
    assert_eq!(found, [("$.inner.must".into(), Change::RequiredFieldAdded)]);
}

#[test]
fn a_renamed_field_is_removed_and_required() {
    let found = changes::<base::Outer, field_renamed::Outer>();
    assert!(found.contains(&("$.id".into(), Change::FieldRemoved)), "{found:?}");
    assert!(found.contains(&("$.uuid".into(), Change::RequiredFieldAdded)), "{found:?}");
}

#[test]
fn a_retyped_field_is_incompatible_even_between_numbers() {
    let found = changes::<base::Outer, field_retyped::Outer>();
    for (path, change) in [
        ("$.id", Change::ConstraintChanged),
        ("$.inner.text", Change::TypeChanged),
        ("$.kind.tuple", Change::ConstraintChanged),
    ] {
        assert!(found.contains(&(path.into(), change)), "{path}: {found:?}");
    }
}

#[test]
fn variants_that_come_go_or_change_are_incompatible() {
    let found = changes::<base::Outer, variants_changed::Outer>();
    for (path, change) in [
        ("$.kind.tuple", Change::VariantRemoved),
        ("$.kind.other", Change::VariantAdded),
        ("$.kind.named.name", Change::FieldRemoved),
    ] {
        assert!(found.contains(&(path.into(), change)), "{path}: {found:?}");
    }
}

#[test]
fn a_field_that_may_not_be_absent_any_more_is_incompatible() {
    let found = changes::<base::Outer, became_required::Outer>();
    assert!(found.contains(&("$.inner.maybe".into(), Change::BecameRequired)), "{found:?}");
}

#[test]
fn words_for_people_are_not_locked() {
    /// Some words.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Told {
        /// A field that is called like a keyword.
        description: String,
    }
    let schema = of::<Told>();
    assert!(schema["properties"]["description"]["type"].is_string(), "{schema}");
    assert!(!schema.to_string().contains("keyword") && !schema.to_string().contains("words"));
}

#[test]
fn a_lock_is_written_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = Form::of::<base::Outer>("outer", 1);
    let missing = verify(dir.path(), &old, false).expect_err("no lock yet");
    assert!(matches!(missing, LockError::Missing { .. }));
    verify(dir.path(), &old, true).expect("written");
    verify(dir.path(), &old, false).expect("the same");

    let more = Form::of::<optional_field_added::Outer>("outer", 1);
    let stale = verify(dir.path(), &more, false).expect_err("not acknowledged");
    assert!(stale.to_string().contains("GANTRY_BLESS=1"), "{stale}");

    let broken = Form::of::<required_field_added::Outer>("outer", 1);
    let refused = verify(dir.path(), &broken, true).expect_err("even with the variable");
    assert!(refused.to_string().contains("raise the version"), "{refused}");
    verify(dir.path(), &old, false).expect("and nothing was written");

    let raised = Form { version: 2, settled: 2, ..broken };
    verify(dir.path(), &raised, true).expect("another version");
    let fell = verify(dir.path(), &old, true).expect_err("back to version 1");
    assert!(matches!(fell, LockError::VersionFell { locked: 2, .. }), "{fell}");
}

#[test]
fn variants_join_a_version_that_nobody_reads_yet_and_nothing_else_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let of = |settled| Form::of::<base::Kind>("kind", 2).growing_since(settled);
    let grown = |settled| Form::of::<base_with_more::Kind>("kind", 2).growing_since(settled);
    verify(dir.path(), &of(1), true).expect("written");
    let refused = verify(dir.path(), &grown(2), true).expect_err("others read version 2");
    assert!(refused.to_string().contains("variant added"), "{refused}");
    let stale = verify(dir.path(), &grown(1), false).expect_err("not acknowledged");
    assert!(matches!(stale, LockError::Stale { .. }), "{stale}");
    verify(dir.path(), &grown(1), true).expect("it grows");
    let taken = verify(dir.path(), &of(1), true).expect_err("what was written is lost");
    assert!(taken.to_string().contains("variant removed"), "{taken}");
}

// What a reader does not know is refused by its level, so the level is all that must never change.
#[test]
fn of_the_state_only_its_level_belongs_to_the_form_of_a_head() {
    let head = schema::forms().into_iter().find(|form| form.name == "snapshot-head");
    let head = head.expect("there is one").schema;
    assert_eq!(head["properties"]["state"]["$ref"], "#/$defs/StateOfAnyLevel");
    let state = head["$defs"]["StateOfAnyLevel"]["properties"].as_object().expect("fields");
    assert_eq!(state.keys().collect::<Vec<_>>(), ["level"]);
}
