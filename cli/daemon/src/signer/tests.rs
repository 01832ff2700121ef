//! Keys of a candidate: what is sealed, opened, handed over and forgotten.

use std::path::Path;

use gantry_engine::state::{Applied, Command, Entry};
use gantry_link::identity::{Credentials, NodeKey};
use gantry_model::deltas::ConfigDelta;
use gantry_model::ids::{ClusterUuid, NodeUuid};
use gantry_model::units::Timestamp;
use gantry_runtime::simulate;

use super::*;

const CLUSTER: LinkCluster = LinkCluster(Uuid::from_u128(7));
const NODE: Uuid = Uuid::from_u128(9);

/// A candidate's directory, its keys, and the state that the log leads to.
struct Rig {
    dir: tempfile::TempDir,
    platform: Platform,
    state: ClusterState,
}

impl Rig {
    /// With an authority in a file, as after an initialisation.
    fn new() -> Self {
        let platform = Platform::simulated(5);
        let rig = Self {
            dir: tempfile::tempdir().expect("a directory"),
            platform,
            state: cluster_of_one(),
        };
        let now = rig.platform.clock().wall().as_secs();
        let authority = CertificateAuthority::create(CLUSTER, now).expect("an authority");
        rig.identity().save_authority(&authority).expect("stored");
        rig
    }

    fn identity(&self) -> IdentityDir {
        IdentityDir::open(self.dir.path().join("state")).expect("a directory of ours")
    }

    fn keyring(&self) -> Keyring {
        Keyring::open(CLUSTER, self.identity(), self.platform.clone()).expect("its file")
    }

    /// Founded and settled, as the first reign does it.
    fn founded() -> Self {
        let mut rig = Self::new();
        let keyring = rig.keyring();
        let changes = keyring.found(&rig.state).expect("an authority");
        rig.change(changes);
        keyring.settled(&rig.state).expect("it can be opened");
        rig
    }

    fn change(&mut self, changes: Vec<TrustChange>) {
        let deltas = changes.into_iter().map(|change| ConfigDelta::Trust(Box::new(change)));
        let command = Command::Config { reign: self.state.reign, deltas: deltas.collect() };
        let applied = apply(&mut self.state, command);
        assert_eq!(applied, Applied::Done);
    }

    fn certify(&self, keyring: &Keyring) -> Result<Credentials, SignError> {
        let key = NodeKey::generate().expect("a key");
        let csr = key.request().expect("a request");
        let chain = keyring.sign(&self.state, Role::Node, NODE, &csr)?;
        Ok(key.certified(chain).expect("for this key"))
    }
}

fn apply(state: &mut ClusterState, command: Command) -> Applied {
    let entry = Entry { at: Timestamp(1), command };
    state.apply(state.revision.next(), &entry)
}

fn cluster_of_one() -> ClusterState {
    let mut state = ClusterState::default();
    let options = crate::init::tests_options();
    let (cluster, node) = (ClusterUuid(CLUSTER.0), NodeUuid(NODE));
    let platform = Platform::simulated(1);
    let first =
        crate::init::first_entry(&options, cluster, node, String::new(), Timestamp(1), &platform);
    assert_eq!(apply(&mut state, Command::Init(Box::new(first))), Applied::Done);
    apply(&mut state, Command::TakeOver { node });
    state
}

fn key_file(rig: &Rig) -> std::path::PathBuf {
    rig.identity().path().join("cluster.key")
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn an_authority_in_a_file_goes_into_the_log_and_the_file_away() {
    simulate(async {
        let rig = Rig::founded();
        assert!(rig.identity().load_authority(CLUSTER).expect("readable").is_none());
        assert_eq!(mode(&key_file(&rig)), 0o600);
        assert!(rig.state.trust.signing.is_some());
        // The next daemon of the node certifies with what the log has.
        let keyring = rig.keyring();
        assert_eq!(keyring.found(&rig.state).expect("nothing to do"), []);
        let credentials = rig.certify(&keyring).expect("a certificate");
        let by = credentials.chain().last().map(|der| Fingerprint::of(der).to_string());
        assert_eq!(by, rig.state.trust.signing.as_ref().map(|signing| signing.fingerprint.clone()));
    });
}

#[test]
fn an_authority_that_is_not_in_the_log_yet_stays_in_its_file() {
    simulate(async {
        let rig = Rig::new();
        let keyring = rig.keyring();
        keyring.found(&rig.state).expect("an authority");
        keyring.settled(&rig.state).expect_err("the log has none");
        assert!(rig.identity().load_authority(CLUSTER).expect("readable").is_some());
    });
}

#[test]
fn a_founding_that_was_cut_short_is_done_with_the_same_key() {
    simulate(async {
        let mut rig = Rig::new();
        let lost = rig.keyring().found(&rig.state).expect("an authority");
        // The daemon dies here; the entry may still be applied, or that of the next daemon.
        let again = rig.keyring().found(&rig.state).expect("an authority");
        for changes in [lost, again] {
            let before = rig.state.clone();
            rig.change(changes);
            rig.certify(&rig.keyring()).expect("either can be opened");
            rig.state = before;
        }
    });
}

#[test]
fn the_log_holds_no_key_that_can_be_read() {
    simulate(async {
        let mut rig = Rig::new();
        let pem =
            rig.identity().load_authority(CLUSTER).expect("readable").expect("there").to_pem();
        let secret = pem.split("PRIVATE KEY-----\n").nth(1).expect("a key").lines().next();
        let secret = secret.expect("a line").to_owned();
        let changes = rig.keyring().found(&rig.state).expect("an authority");
        rig.change(changes);
        let state = serde_json::to_string(&rig.state).expect("encodes");
        assert!(!state.contains(&secret) && !state.contains("PRIVATE"), "sealed");
    });
}

#[test]
fn another_key_opens_what_the_old_one_cannot_any_more() {
    simulate(async {
        let mut rig = Rig::founded();
        let demoted = rig.keyring();
        let keyring = rig.keyring();
        let first = keyring.next_cluster_key(&rig.state).expect("sealed anew");
        let again = rig.keyring().next_cluster_key(&rig.state).expect("with the same key");
        rig.certify(&keyring).expect("the old key is good until the new one is in the log");
        for change in [first, again] {
            let before = rig.state.clone();
            rig.change(vec![change]);
            rig.certify(&rig.keyring()).expect("the new one opens it");
            let refused = rig.certify(&demoted).expect_err("it was not told");
            assert!(refused.reason.contains("generation 2"), "{refused}");
            rig.state = before;
        }
        let change = keyring.next_cluster_key(&rig.state).expect("sealed anew");
        rig.change(vec![change]);
        keyring.settled(&rig.state).expect("it can be opened");
        let left = std::fs::read_to_string(key_file(&rig)).expect("the file");
        assert_eq!(left.lines().count(), 1, "the old key is forgotten");
    });
}

#[test]
fn a_candidate_that_was_given_the_key_can_certify() {
    simulate(async {
        let rig = Rig::founded();
        let handed = rig.keyring().cluster_key(&rig.state).expect("it has it");
        let other = Rig::new();
        let candidate = other.keyring();
        rig.certify(&candidate).expect_err("it has no key");
        candidate.accept_key(&handed).expect("stored");
        rig.certify(&candidate).expect("a certificate");
        rig.certify(&other.keyring()).expect("also after a restart");
        let wrong = ClusterKeyHanded { key: vec![0; 31], ..handed };
        candidate.accept_key(&wrong).expect_err("not a key");
    });
}

#[test]
fn a_secret_is_bound_to_its_name() {
    simulate(async {
        let mut rig = Rig::founded();
        let keyring = rig.keyring();
        let (name, secret) = rig.state.secrets.get_min().cloned().expect("one");
        let secret = secret.as_ref().clone();
        let other = SecretName("another".into());
        rig.change(vec![TrustChange::SecretSet { name: other.clone(), secret }]);
        keyring.open_secret(&rig.state, &name).expect("its own");
        keyring.open_secret(&rig.state, &other).expect_err("passed off as another");
    });
}

#[test]
fn who_believes_the_old_authority_believes_certificates_of_the_new_one() {
    simulate(async {
        let mut rig = Rig::founded();
        let keyring = rig.keyring();
        let (authority, secret) = keyring.new_authority(&rig.state).expect("an authority");
        let fingerprint = authority.fingerprint.clone();
        rig.change(vec![
            TrustChange::AuthorityAdd { authority, secret },
            TrustChange::AuthoritySwitch { fingerprint: fingerprint.clone() },
        ]);
        let credentials = rig.certify(&keyring).expect("a certificate");
        assert_eq!(credentials.chain().len(), 3, "own, cross, authority");
        let by = credentials.chain().last().map(|der| Fingerprint::of(der).to_string());
        assert_eq!(by, Some(fingerprint));
    });
}

// covers: Q13
#[test]
fn what_a_job_keeps_from_sight_is_opened_by_whoever_has_the_key_after_another_key_too() {
    simulate(async {
        let mut rig = Rig::founded();
        let keyring = rig.keyring();
        let name = SecretName::parameters(gantry_wire::RequestId(Uuid::from_u128(3)), 0, 1);
        let secret = keyring.seal(&rig.state, &name, b"hunter2").expect("sealed");
        assert!(!secret.sealed.windows(7).any(|part| part == b"hunter2"));
        rig.change(vec![TrustChange::SecretSet { name: name.clone(), secret }]);
        assert_eq!(keyring.open_secret(&rig.state, &name).expect("opened"), b"hunter2");
        let change = keyring.next_cluster_key(&rig.state).expect("another key");
        rig.change(vec![change]);
        keyring.settled(&rig.state).expect("all can be opened");
        assert_eq!(keyring.open_secret(&rig.state, &name).expect("opened"), b"hunter2");
    });
}
