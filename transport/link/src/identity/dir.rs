//! Where identities live on disk.
//!
//! One directory (mode 0700, or 0711 where others reach a socket in it), one file per thing (mode
//! 0600), each replaced as a whole: a reader after a crash finds the old file or the new one. A key
//! and its certificate share a file, so they cannot part. The calls block for as long as the disk
//! takes; async callers use a blocking pool.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gantry_wire::{ErrorChain, Role};

use super::token::from_hex;
use super::{CertificateAuthority, ClusterKey, ClusterUuid, Credentials, IdentityError, Trust};

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const GROUP_AND_OTHERS: u32 = 0o077;
/// What others may not do with the directory. They may pass through it, to the daemon's socket:
/// every file is closed to them by itself.
const DIR_OPEN: u32 = 0o066;

const AUTHORITY_FILE: &str = "authority.pem";
const CLUSTER_KEY_FILE: &str = "cluster.key";
const TRUST_FILE: &str = "trust.pem";
const ENDPOINT_KEYS_FILE: &str = "endpoint.keys";
const TEMPORARY_SUFFIX: &str = ".new";

const RESET_KEY_BYTES: usize = 64;
const CONNECTION_ID_KEY_BYTES: usize = 8;

/// The two secrets by which peers notice a restart at once: with the reset key alone, or the
/// connection-id key alone, they wait for a timer instead. So both outlive the process.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointKeys {
    pub(crate) reset: [u8; RESET_KEY_BYTES],
    pub(crate) connection_id: [u8; CONNECTION_ID_KEY_BYTES],
}

impl EndpointKeys {
    /// Makes both from the operating system's randomness.
    ///
    /// # Errors
    /// When there is none.
    pub fn generate() -> Result<Self, IdentityError> {
        let source = rustls::crypto::ring::default_provider().secure_random;
        let mut keys =
            Self { reset: [0; RESET_KEY_BYTES], connection_id: [0; CONNECTION_ID_KEY_BYTES] };
        for key in [keys.reset.as_mut_slice(), keys.connection_id.as_mut_slice()] {
            source.fill(key).map_err(|_| IdentityError::Randomness)?;
        }
        Ok(keys)
    }

    fn to_text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("reset {}\nconnection-id {}\n", hex(&self.reset), hex(&self.connection_id))
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let reset = from_hex(lines.next()?.strip_prefix("reset ")?)?;
        let connection_id = from_hex(lines.next()?.strip_prefix("connection-id ")?)?;
        let keys =
            Self { reset: reset.try_into().ok()?, connection_id: connection_id.try_into().ok()? };
        lines.next().is_none().then_some(keys)
    }
}

impl std::fmt::Debug for EndpointKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndpointKeys(private)")
    }
}

/// A directory of identities.
#[derive(Clone, Debug)]
pub struct IdentityDir(PathBuf);

impl IdentityDir {
    /// Opens the directory and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or others may enter it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, IdentityError> {
        let path = path.into();
        let fail = |action, source| IdentityError::File { action, path: path.clone(), source };
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&path)
            .map_err(|source| fail("create", source))?;
        let found = std::fs::metadata(&path).map_err(|source| fail("examine", source))?;
        refuse_open_to_others(&path, &found)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Stores credentials under their role; a node's and a candidate's share one place, because a
    /// node is one or the other.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_credentials(&self, credentials: &Credentials) -> Result<(), IdentityError> {
        self.write(credentials_file(credentials.name().role), &credentials.to_pem())
    }

    /// The stored credentials of a role, if there are any.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is readable by others.
    pub fn load_credentials(&self, role: Role) -> Result<Option<Credentials>, IdentityError> {
        let file = credentials_file(role);
        self.load(file, |text| Credentials::from_pem(text).map_err(|e| ErrorChain(&e).to_string()))
    }

    /// Stores whom to trust.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_trust(&self, trust: &Trust) -> Result<(), IdentityError> {
        self.write(TRUST_FILE, &trust.to_pem())
    }

    /// The stored trust, if there is any.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or speaks for another cluster.
    pub fn load_trust(&self, cluster: ClusterUuid) -> Result<Option<Trust>, IdentityError> {
        self.load(TRUST_FILE, |text| {
            Trust::from_pem(cluster, text).map_err(|e| ErrorChain(&e).to_string())
        })
    }

    /// Stores the authority with its key.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_authority(&self, authority: &CertificateAuthority) -> Result<(), IdentityError> {
        self.write(AUTHORITY_FILE, &authority.to_pem())
    }

    /// The stored authority, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or speaks for another cluster.
    pub fn load_authority(
        &self,
        cluster: ClusterUuid,
    ) -> Result<Option<CertificateAuthority>, IdentityError> {
        self.load(AUTHORITY_FILE, |text| {
            CertificateAuthority::from_pem(cluster, text).map_err(|e| ErrorChain(&e).to_string())
        })
    }

    /// Removes the authority: this node is no candidate any more.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_authority(&self) -> Result<(), IdentityError> {
        let path = self.0.join(AUTHORITY_FILE);
        match std::fs::remove_file(&path) {
            Ok(()) => self.sync(),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(IdentityError::File { action: "remove", path, source }),
        }
    }

    /// Stores the cluster keys that this candidate holds, by generation.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_cluster_keys(&self, keys: &BTreeMap<u64, ClusterKey>) -> Result<(), IdentityError> {
        let line = |(generation, key): (&u64, &ClusterKey)| {
            format!("generation {generation} {}\n", key.to_hex())
        };
        self.write(CLUSTER_KEY_FILE, &keys.iter().map(line).collect::<String>())
    }

    /// The stored cluster keys; none if there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is readable by others.
    pub fn load_cluster_keys(&self) -> Result<BTreeMap<u64, ClusterKey>, IdentityError> {
        let keys = self.load(CLUSTER_KEY_FILE, |text| {
            text.lines()
                .map(cluster_key_line)
                .collect::<Option<BTreeMap<_, _>>>()
                .ok_or_else(|| "not lines of a generation and a key".to_owned())
        })?;
        Ok(keys.unwrap_or_default())
    }

    /// The stored keys of the endpoint; made and stored at the first call.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged.
    pub fn endpoint_keys(&self) -> Result<EndpointKeys, IdentityError> {
        let stored = self.load(ENDPOINT_KEYS_FILE, |text| {
            EndpointKeys::from_text(text).ok_or_else(|| "not two keys".to_owned())
        })?;
        if let Some(keys) = stored {
            return Ok(keys);
        }
        let keys = EndpointKeys::generate()?;
        self.write(ENDPOINT_KEYS_FILE, &keys.to_text())?;
        Ok(keys)
    }

    fn load<T>(
        &self,
        file: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, IdentityError> {
        let path = self.0.join(file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::File { action: "read", path, source }),
        };
        let found = std::fs::metadata(&path).map_err(|source| IdentityError::File {
            action: "examine",
            path: path.clone(),
            source,
        })?;
        refuse_open_to_others(&path, &found)?;
        parse(&text).map(Some).map_err(|reason| IdentityError::Damaged { path, reason })
    }

    fn write(&self, file: &str, text: &str) -> Result<(), IdentityError> {
        let path = self.0.join(file);
        let temporary = self.0.join(format!("{file}{TEMPORARY_SUFFIX}"));
        let fail = |action, source| IdentityError::File { action, path: path.clone(), source };
        // A leftover of a crash may have other permissions; `mode` applies only to new files.
        match std::fs::remove_file(&temporary) {
            Ok(()) => {}
            Err(source) if source.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(fail("clear the way for", source)),
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&temporary)
            .map_err(|source| fail("create", source))?;
        out.write_all(text.as_bytes()).map_err(|source| fail("write", source))?;
        out.sync_all().map_err(|source| fail("flush", source))?;
        std::fs::rename(&temporary, &path).map_err(|source| fail("replace", source))?;
        self.sync()
    }

    /// Makes a rename or removal last.
    fn sync(&self) -> Result<(), IdentityError> {
        File::open(&self.0).and_then(|dir| dir.sync_all()).map_err(|source| IdentityError::File {
            action: "flush",
            path: self.0.clone(),
            source,
        })
    }
}

fn cluster_key_line(line: &str) -> Option<(u64, ClusterKey)> {
    let (generation, key) = line.strip_prefix("generation ")?.split_once(' ')?;
    Some((generation.parse().ok()?, ClusterKey::parse_hex(key)?))
}

fn credentials_file(role: Role) -> &'static str {
    match role {
        Role::Node | Role::Candidate | Role::Lapsed => "node.pem",
        Role::Admin => "admin.pem",
        Role::Reader => "reader.pem",
        Role::Joiner => "joiner.pem",
    }
}

fn refuse_open_to_others(path: &Path, found: &std::fs::Metadata) -> Result<(), IdentityError> {
    let mode = found.permissions().mode() & 0o7777;
    let open = if found.is_dir() { DIR_OPEN } else { GROUP_AND_OTHERS };
    if mode & open == 0 {
        return Ok(());
    }
    let wanted = if found.is_dir() { 0o700 } else { 0o600 };
    Err(IdentityError::OpenToOthers { path: path.to_owned(), mode, wanted })
}
