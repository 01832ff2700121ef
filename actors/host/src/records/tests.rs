//! What is kept, for whom, and what a killed process leaves behind.

use super::*;

fn both(check: impl Fn(&RecordStore)) {
    check(&RecordStore::in_memory());
    let dir = tempfile::tempdir().expect("tempdir");
    check(&RecordStore::in_directory(&dir.path().join("world")).expect("made"));
}

fn put(store: &RecordStore, name: &str, bytes: &[u8]) {
    store.exclusive(|records| records.put(name, bytes)).expect("written");
}

fn get(store: &RecordStore, name: &str) -> Option<Vec<u8>> {
    store.exclusive(|records| records.get(name)).expect("read")
}

#[test]
fn records_come_back_by_prefix_and_in_order() {
    both(|store| {
        let names = store
            .exclusive(|records| {
                for name in ["b.2", "a.1", "b.1", "c"] {
                    records.put(name, name.as_bytes())?;
                }
                records.remove("c")?;
                assert_eq!(records.get("b.1")?.as_deref(), Some(b"b.1".as_slice()));
                assert_eq!(records.get("c")?, None);
                records.names("b.")
            })
            .expect("works");
        assert_eq!(names, ["b.1", "b.2"]);
    });
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    both(|store| {
        for name in ["", ".lock", "../a", "a/b"] {
            store.exclusive(|records| records.put(name, b"")).expect_err(name);
        }
    });
}

#[test]
fn two_that_share_a_directory_see_each_others_changes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = RecordStore::in_directory(dir.path()).expect("made");
    let second = RecordStore::in_directory(dir.path()).expect("made");
    put(&first, "a", b"1");
    assert_eq!(get(&second, "a").as_deref(), Some(b"1".as_slice()));
    put(&second, "b", b"2");
    second.exclusive(|records| records.remove("a")).expect("removed");
    assert_eq!(get(&first, "a"), None);
    assert_eq!(get(&first, "b").as_deref(), Some(b"2".as_slice()));
    let third = RecordStore::in_directory(dir.path()).expect("made");
    assert_eq!(get(&third, "b").as_deref(), Some(b"2".as_slice()));
}

#[test]
fn what_was_changed_before_an_error_stays_changed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = RecordStore::in_directory(dir.path()).expect("made");
    let failed: io::Result<()> = store.exclusive(|records| {
        records.put("a", b"1")?;
        Err(io::Error::other("no"))
    });
    failed.expect_err("it fails");
    let next = RecordStore::in_directory(dir.path()).expect("made");
    assert_eq!(get(&next, "a").as_deref(), Some(b"1".as_slice()));
}

#[test]
fn a_torn_change_was_never_made_wherever_it_is_torn() {
    let whole = {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = RecordStore::in_directory(dir.path()).expect("made");
        put(&store, "a", b"1");
        let first = std::fs::metadata(dir.path().join(".records")).expect("there").len();
        put(&store, "a", b"2");
        (first, std::fs::read(dir.path().join(".records")).expect("there"))
    };
    let (first, bytes) = whole;
    for length in usize::try_from(first).expect("small")..bytes.len() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join(".records"), &bytes[..length]).expect("written");
        let store = RecordStore::in_directory(dir.path()).expect("made");
        assert_eq!(get(&store, "a").as_deref(), Some(b"1".as_slice()), "{length} bytes");
        put(&store, "b", b"3");
        let next = RecordStore::in_directory(dir.path()).expect("made");
        assert_eq!(get(&next, "a").as_deref(), Some(b"1".as_slice()), "{length} bytes");
        assert_eq!(get(&next, "b").as_deref(), Some(b"3".as_slice()), "{length} bytes");
    }
}

#[test]
fn a_file_full_of_what_nobody_needs_is_made_anew_and_others_notice() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = RecordStore::in_directory(dir.path()).expect("made");
    let second = RecordStore::in_directory(dir.path()).expect("made");
    put(&first, "kept", b"1");
    assert_eq!(get(&second, "kept").as_deref(), Some(b"1".as_slice()));
    let large = vec![7; 64 * 1024];
    for _ in 0..40 {
        put(&first, "large", &large);
    }
    let length = std::fs::metadata(dir.path().join(".records")).expect("there").len();
    assert!(length < 2 * 1024 * 1024, "{length} bytes are never made anew");
    assert_eq!(get(&second, "large"), Some(large));
    assert_eq!(get(&second, "kept").as_deref(), Some(b"1".as_slice()));
}

#[test]
fn records_of_the_old_form_are_taken_over() {
    let dir = tempfile::tempdir().expect("tempdir");
    std::fs::write(dir.path().join("disk.1"), b"old").expect("written");
    std::fs::write(dir.path().join(".lock"), b"").expect("written");
    let store = RecordStore::in_directory(dir.path()).expect("made");
    assert_eq!(get(&store, "disk.1").as_deref(), Some(b"old".as_slice()));
    store.exclusive(|records| records.remove("disk.1")).expect("removed");
    let next = RecordStore::in_directory(dir.path()).expect("made");
    assert_eq!(get(&next, "disk.1"), None, "the old file is read again");
}
