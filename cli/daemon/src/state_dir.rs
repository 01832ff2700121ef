//! The state directory of a node: everything that a daemon keeps, in one place.
//!
//! ```text
//! node.json        who this node is, where it listens, who the master was last
//! trust.pem, node.pem, admin.pem, reader.pem, endpoint.keys    (gantry_link::identity)
//! cluster.key      on full candidates: opens the secrets in the log
//! authority.pem    on the first node, until its first reign has sealed it into the log
//! endpoint         where the daemon listens; read by commands
//! socket/          the socket for commands on this machine
//! lock             held by the daemon while it runs
//! log/             the replicated log, on holders of it
//! agent.redb       the intent journal
//! file-storage-paths   where image files may be made; written by the node's administrator
//! commands.log     which commands were run on this machine, with commands.log.1 before it
//! run/             guests of the node; kept short: paths of sockets are limited
//! fake/            the world of the fake hypervisor and storage
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gantry_host::durable;
use gantry_link::identity::{IdentityDir, IdentityError};
use gantry_model::ids::{ClusterUuid, NodeUuid};
use gantry_model::names::{ClusterName, NodeName};
use gantry_storage::AllowedPaths;
use serde::{Deserialize, Serialize};

/// The newest form of `node.json` that this program knows.
const NODE_FILE_VERSION: u32 = 1;

/// What is wrong with a state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// A file cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// `node.json` is not what it should be.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        #[source]
        source: serde_json::Error,
    },
    /// Written by a newer program.
    #[error("{} has form {version}, this program knows {NODE_FILE_VERSION}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Another daemon runs there.
    #[error("another daemon uses {}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Others could lose it.
    #[error(
        "shared file storage directory {} is inside the state directory {}, which is moved aside \
         when the node leaves: choose one outside",
        path.display(),
        state_dir.display()
    )]
    NotShared {
        /// The directory.
        path: PathBuf,
        /// The state directory.
        state_dir: PathBuf,
    },
    /// The keys or certificates are not usable.
    #[error("identity in {}", path.display())]
    Identity {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Form of this file.
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterUuid,
    /// Its name.
    pub cluster_name: ClusterName,
    /// The node.
    pub node: NodeUuid,
    /// Its name.
    pub name: NodeName,
    /// Where its daemon listens, `host:port`.
    pub address: String,
    /// Directory of `file` disks.
    pub file_storage_dir: String,
    /// Directory of `sharedfile` disks; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shared_file_storage_dir: String,
    /// Whether the list of allowed directories has been written. Not of a node that was made by a
    /// program without such a list: it gets one when its daemon starts.
    #[serde(default)]
    pub storage_paths_written: bool,
    /// Whether it holds the log.
    pub holds_log: bool,
    /// The master when this was written.
    pub master: NodeUuid,
    /// Where the master listens.
    pub master_address: String,
}

impl NodeFile {
    /// The form that is written.
    pub const VERSION: u32 = NODE_FILE_VERSION;
}

/// A state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Does not touch the disk.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Directory of the replicated log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// That a directory which other nodes use too is not in this one, which goes aside when the
    /// node leaves its cluster.
    ///
    /// # Errors
    /// When it is.
    pub fn check_outside(&self, shared: &str) -> Result<(), StateDirError> {
        if shared.is_empty() || !Path::new(shared).starts_with(&self.0) {
            return Ok(());
        }
        Err(StateDirError::NotShared { path: shared.into(), state_dir: self.0.clone() })
    }

    /// Directory of guests.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The list of directories where image files may be made.
    #[must_use]
    pub fn storage_paths(&self) -> PathBuf {
        self.0.join("file-storage-paths")
    }

    /// Writes that list with the node's directories, unless there is one: it belongs to whoever
    /// administers the node.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_storage_paths(&self, file: &NodeFile) -> Result<(), StateDirError> {
        let path = self.storage_paths();
        if path.exists() {
            return Ok(());
        }
        let directories = [file.file_storage_dir.as_str(), file.shared_file_storage_dir.as_str()];
        let text = AllowedPaths::text(directories);
        durable::write(&path, text.as_bytes()).map_err(|source| self.failed("write", &path, source))
    }

    /// Gives a node that was made before there was such a list one that allows what it had.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn with_storage_paths(&self, mut file: NodeFile) -> Result<NodeFile, StateDirError> {
        if !file.storage_paths_written {
            self.write_storage_paths(&file)?;
            file.storage_paths_written = true;
            self.save_node(&file)?;
        }
        Ok(file)
    }

    /// Directory of the fake world.
    #[must_use]
    pub fn fake(&self) -> PathBuf {
        self.0.join("fake")
    }

    /// The socket for commands on this machine.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join(gantry_client::SOCKET_FILE)
    }

    /// Makes the directory of the socket. If others than the owner may talk to the daemon, they may
    /// pass through this one, too; everything else in it is closed to them.
    ///
    /// # Errors
    /// When it cannot be made, or permissions cannot be set.
    pub fn open_socket_dir(&self, is_shared: bool) -> Result<(), StateDirError> {
        use std::os::unix::fs::PermissionsExt;
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
                .map_err(|source| self.failed("set the permissions of", path, source))
        };
        let dir = self.0.join("socket");
        durable::create_dir(&dir).map_err(|source| self.failed("create", &dir, source))?;
        if !is_shared {
            set(&dir, 0o700)?;
            return set(&self.0, 0o700);
        }
        for name in self.entries()? {
            let path = self.0.join(&name);
            let found = std::fs::symlink_metadata(&path)
                .map_err(|source| self.failed("examine", &path, source))?;
            let mode = found.permissions().mode() & 0o7777;
            if !found.is_symlink() && mode & 0o077 != 0 && path != dir {
                set(&path, mode & !0o077)?;
            }
        }
        set(&dir, 0o711)?;
        set(&self.0, 0o711)
    }

    fn entries(&self) -> Result<Vec<String>, StateDirError> {
        let read = |source| self.failed("read", &self.0, source);
        let listed = std::fs::read_dir(&self.0).map_err(read)?;
        let names = listed.map(|entry| {
            let entry = entry.map_err(read)?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        });
        names.collect()
    }

    /// Makes the directory, mode 0700.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), StateDirError> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|source| self.failed("create", &self.0, source))
    }

    /// Keys and certificates.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn identity(&self) -> Result<IdentityDir, StateDirError> {
        IdentityDir::open(&self.0).map_err(|source| self.identity_error(source))
    }

    /// Says which directory an identity error is about.
    #[must_use]
    pub fn identity_error(&self, source: IdentityError) -> StateDirError {
        StateDirError::Identity { path: self.0.clone(), source }
    }

    /// Who this node is; `None` while it belongs to no cluster.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn load_node(&self) -> Result<Option<NodeFile>, StateDirError> {
        let path = self.node_file();
        let bytes = durable::read(&path).map_err(|source| self.failed("read", &path, source))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let file: NodeFile = serde_json::from_slice(&bytes)
            .map_err(|source| StateDirError::Damaged { path: path.clone(), source })?;
        if file.version > NODE_FILE_VERSION {
            return Err(StateDirError::TooNew { path, version: file.version });
        }
        Ok(Some(file))
    }

    /// Writes who this node is. The last thing that initialising and joining do: a node whose file
    /// is there is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_node(&self, file: &NodeFile) -> Result<(), StateDirError> {
        let path = self.node_file();
        let bytes = serde_json::to_vec_pretty(file)
            .map_err(|source| StateDirError::Damaged { path: path.clone(), source })?;
        durable::write(&path, &bytes).map_err(|source| self.failed("write", &path, source))
    }

    /// Writes where the daemon listens.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_endpoint(&self, address: &str) -> Result<(), StateDirError> {
        let path = self.0.join(gantry_client::ENDPOINT_FILE);
        durable::write(&path, format!("{address}\n").as_bytes())
            .map_err(|source| self.failed("write", &path, source))
    }

    /// Keeps another daemon out for as long as the lock lives.
    ///
    /// # Errors
    /// When another daemon has it.
    pub fn lock(&self) -> Result<durable::FileLock, StateDirError> {
        let path = self.0.join("lock");
        durable::FileLock::try_acquire(&path)
            .map_err(|source| self.failed("lock", &path, source))?
            .ok_or_else(|| StateDirError::InUse { path: self.0.clone() })
    }

    /// Moves `node.json` aside: from then on the directory belongs to no cluster. Done again, it
    /// changes nothing.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn forget_node(&self, cluster: ClusterUuid) -> Result<(), StateDirError> {
        let (from, aside) = (self.node_file(), self.aside(cluster)?);
        if !from.exists() {
            return Ok(());
        }
        durable::rename(&from, &aside.join("node.json"))
            .map_err(|source| self.failed("move aside", &from, source))
    }

    fn aside(&self, cluster: ClusterUuid) -> Result<PathBuf, StateDirError> {
        let aside = self.0.join(format!("left-{cluster}"));
        durable::create_dir(&aside).map_err(|source| self.failed("create", &aside, source))?;
        Ok(aside)
    }

    /// Forgets the cluster: the identity and the log are moved aside under the cluster's id, so
    /// that a mistake can be taken back by hand, and a new cluster can begin here.
    ///
    /// # Errors
    /// When a file cannot be moved.
    pub fn retire(&self, cluster: ClusterUuid) -> Result<PathBuf, StateDirError> {
        self.forget_node(cluster)?;
        let aside = self.aside(cluster)?;
        let stays = |name: &str| name.starts_with("left-") || ["run", "lock"].contains(&name);
        for name in self.entries()?.into_iter().filter(|name| !stays(name)) {
            let from = self.0.join(&name);
            if from.exists() {
                durable::rename(&from, &aside.join(&name))
                    .map_err(|source| self.failed("move aside", &from, source))?;
            }
        }
        Ok(aside)
    }

    /// Puts the log of a node aside that holds it no more, in the place of one that was put aside
    /// before, and removes its cluster keys. Nothing happens where there is none.
    ///
    /// # Errors
    /// When a file cannot be moved or removed.
    pub fn put_log_away(&self) -> Result<(), StateDirError> {
        let (log, aside) = (self.log(), self.0.join("log-of-before"));
        if !log.exists() {
            return Ok(());
        }
        if aside.exists() {
            std::fs::remove_dir_all(&aside)
                .map_err(|source| self.failed("remove", &aside, source))?;
        }
        durable::rename(&log, &aside).map_err(|source| self.failed("move aside", &log, source))?;
        let identity = self.identity()?;
        identity.save_cluster_keys(&BTreeMap::new()).map_err(|error| self.identity_error(error))
    }

    /// Whether it is that of a node.
    #[must_use]
    pub fn has_node(&self) -> bool {
        self.node_file().exists()
    }

    /// The log of commands.
    #[must_use]
    pub fn command_log(&self) -> PathBuf {
        self.0.join("commands.log")
    }

    fn node_file(&self) -> PathBuf {
        self.0.join("node.json")
    }

    fn failed(&self, action: &'static str, path: &Path, source: std::io::Error) -> StateDirError {
        StateDirError::File { action, path: path.to_owned(), source }
    }
}
