//! Identities: issuing, names, lifetimes, and their files.

use std::os::unix::fs::PermissionsExt;

use gantry_link::identity::{
    CertificateAuthority, ClusterUuid, Credentials, Fingerprint, IdentityDir, IdentityError,
    LEAF_LIFETIME_DAYS, NodeKey, PeerName, Trust, peer_name_of,
};
use gantry_wire::Role;
use uuid::Uuid;

const NOW: u64 = 1_800_000_000;
const DAY_S: u64 = 24 * 3600;

fn cluster() -> ClusterUuid {
    ClusterUuid(Uuid::from_u128(0xc1))
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::create(cluster(), NOW).expect("creates")
}

fn id() -> Uuid {
    Uuid::from_u128(0x1d)
}

#[test]
fn a_certificate_carries_the_name_it_was_issued_for() {
    let authority = authority();
    for role in [Role::Node, Role::Candidate, Role::Admin, Role::Reader] {
        let credentials = authority.issue_new(role, id(), NOW).expect("issues");
        let name = PeerName { cluster: cluster(), role, id: id() };
        assert_eq!(credentials.name(), name);
        assert_eq!(peer_name_of(&credentials.chain()[0]).expect("has a name"), name);
        assert_eq!(Fingerprint::of(&credentials.chain()[1]), authority.fingerprint());
    }
}

#[test]
fn nobody_is_certified_as_a_joiner() {
    let refused = authority().issue_new(Role::Joiner, id(), NOW);
    assert!(matches!(refused, Err(IdentityError::Role { role: Role::Joiner })), "{refused:?}");
}

#[test]
fn a_request_with_a_changed_byte_is_refused() {
    let mut request = NodeKey::generate().and_then(|key| key.request()).expect("makes");
    let last = request.len() - 1;
    request[last] ^= 1;
    let refused = authority().issue(&request, Role::Node, id(), NOW);
    assert!(matches!(refused, Err(IdentityError::Request(_))), "{refused:?}");
    assert!(authority().issue(b"nonsense", Role::Node, id(), NOW).is_err());
}

#[test]
fn a_chain_for_another_key_is_refused() {
    let (ours, other) = (NodeKey::generate().expect("key"), NodeKey::generate().expect("key"));
    let request = other.request().expect("request");
    let chain = authority().issue(&request, Role::Node, id(), NOW).expect("issues");
    assert!(matches!(ours.certified(chain), Err(IdentityError::KeyMismatch)));
}

#[test]
fn renewal_is_due_after_two_thirds_and_changes_the_certificate() {
    let authority = authority();
    let key = NodeKey::generate().expect("key");
    let request = key.request().expect("request");
    let issue = |now| authority.issue(&request, Role::Node, id(), now).expect("issues");
    let first = key.certified(issue(NOW)).expect("fits");
    let lifetime = first.lifetime();
    assert!(lifetime.not_before_unix_s < NOW, "clock skew needs a margin");
    assert_eq!(lifetime.not_after_unix_s, NOW + LEAF_LIFETIME_DAYS * DAY_S);
    assert!(!lifetime.is_renewal_due(NOW));
    assert!(lifetime.is_renewal_due(NOW + LEAF_LIFETIME_DAYS * DAY_S * 3 / 4));
    let second = key.certified(issue(NOW + DAY_S)).expect("fits");
    assert_ne!(first.chain()[0], second.chain()[0]);
}

#[test]
fn what_is_saved_is_loaded_and_nobody_else_may_read_it() {
    let place = tempfile::tempdir().expect("directory");
    let dir = IdentityDir::open(place.path().join("state/identity")).expect("opens");
    let authority = authority();
    let node = authority.issue_new(Role::Candidate, id(), NOW).expect("issues");
    dir.save_authority(&authority).expect("saves");
    dir.save_credentials(&node).expect("saves");
    dir.save_trust(&authority.trust()).expect("saves");
    let keys = dir.endpoint_keys().expect("makes");

    let again = IdentityDir::open(dir.path()).expect("opens");
    let loaded = again.load_credentials(Role::Node).expect("loads").expect("is there");
    assert_eq!((loaded.name(), loaded.to_pem()), (node.name(), node.to_pem()));
    assert_eq!(again.load_trust(cluster()).expect("loads"), Some(authority.trust()));
    let loaded = again.load_authority(cluster()).expect("loads").expect("is there");
    assert_eq!(loaded.to_pem(), authority.to_pem());
    assert_eq!(again.endpoint_keys().expect("loads"), keys);
    assert!(again.load_credentials(Role::Admin).expect("looks").is_none());
    for entry in std::fs::read_dir(dir.path()).expect("lists") {
        let entry = entry.expect("entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
        assert!(!entry.path().to_string_lossy().ends_with(".new"), "{:?}", entry.path());
    }
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let place = tempfile::tempdir().expect("directory");
    let dir = IdentityDir::open(place.path().join("identity")).expect("opens");
    dir.save_authority(&authority()).expect("saves");
    let file = dir.path().join("authority.pem");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("changes");
    let refused = dir.load_authority(cluster()).map(|_| ());
    let refused = refused.expect_err("others can read it").to_string();
    let file = file.display();
    assert_eq!(
        refused,
        format!("{file} has mode 0644, which lets others read keys; it must be 0600")
    );
}

#[test]
fn a_leftover_of_a_crash_is_replaced() {
    let place = tempfile::tempdir().expect("directory");
    let dir = IdentityDir::open(place.path().join("identity")).expect("opens");
    std::fs::write(dir.path().join("endpoint.keys.new"), "half").expect("writes");
    let keys = dir.endpoint_keys().expect("makes");
    assert_eq!(dir.endpoint_keys().expect("loads"), keys);
}

#[test]
fn a_damaged_file_is_told_and_not_replaced() {
    let place = tempfile::tempdir().expect("directory");
    let dir = IdentityDir::open(place.path().join("identity")).expect("opens");
    dir.endpoint_keys().expect("makes");
    std::fs::write(dir.path().join("endpoint.keys"), "reset 00\n").expect("writes");
    assert!(matches!(dir.endpoint_keys(), Err(IdentityError::Damaged { .. })));
}

#[test]
fn an_authority_of_another_cluster_is_refused() {
    let other = ClusterUuid(Uuid::from_u128(0xc2));
    let pem = authority().to_pem();
    assert!(CertificateAuthority::from_pem(other, &pem).is_err());
    assert!(Trust::from_pem(other, &authority().trust().to_pem()).is_err());
    let leaf = authority().issue_new(Role::Node, id(), NOW).expect("issues");
    let authorities = leaf.chain()[..1].to_vec();
    let not_an_authority = Trust { cluster: cluster(), authorities, retiring: None };
    assert!(Trust::from_pem(cluster(), &not_an_authority.to_pem()).is_err());
    assert!(Credentials::from_pem(&authority().trust().to_pem()).is_err(), "no key");
}
