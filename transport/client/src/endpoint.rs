//! Where a daemon is and by which right it is talked to: files in its state directory.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_link::identity::{Credentials, IdentityDir, IdentityError, Trust};
use gantry_wire::Role;

use crate::{CONNECT_TIMEOUT, ClientError};

/// Where the daemon says that it listens: one line, `host:port`.
pub const ENDPOINT_FILE: &str = "endpoint";

/// Where the credentials of an operator are.
pub const ADMIN_FILE: &str = "admin.pem";

/// Where the credentials of somebody who may only look are.
const READER_FILE: &str = "reader.pem";

/// Longest endpoint file: a host name and a port. A longer one is something else.
const ENDPOINT_BYTES_MAX: usize = 512;

/// All that is needed to connect.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Addresses of one node, tried in turn.
    pub addrs: Vec<SocketAddr>,
    /// Who connects.
    pub credentials: Credentials,
    /// Whom it believes.
    pub trust: Trust,
    /// Where both are kept. Read again when the connection is lost: the daemon renews them, and
    /// closes connections that were made with what it does not accept any more.
    pub state_dir: Option<PathBuf>,
    /// How long the first hello may take.
    pub connect_timeout: Duration,
}

impl ClientConfig {
    /// Finds the daemon of a state directory and the credentials there: the operator's, or else a
    /// reader's. `endpoint` takes the place of the daemon's own address, so that any node of the
    /// cluster can be asked.
    ///
    /// # Errors
    /// When there are no credentials, or no daemon has run, or the address is none.
    pub async fn discover(state_dir: &Path, endpoint: Option<&str>) -> Result<Self, ClientError> {
        let (credentials, trust) = credentials_in(state_dir)?;
        let addrs = match endpoint {
            Some(text) => resolve(text).await?,
            None => resolve(&endpoint_in(state_dir)?).await?,
        };
        let (state_dir, connect_timeout) = (Some(state_dir.to_owned()), CONNECT_TIMEOUT);
        Ok(Self { addrs, credentials, trust, state_dir, connect_timeout })
    }
}

pub(crate) fn credentials_in(state_dir: &Path) -> Result<(Credentials, Trust), ClientError> {
    let none = || ClientError::NotACluster {
        state_dir: state_dir.to_owned(),
        missing: ADMIN_FILE.to_owned(),
    };
    // Opening an identity directory makes it; looking for one must not.
    if !is_there(&state_dir.join(ADMIN_FILE))? && !is_there(&state_dir.join(READER_FILE))? {
        return Err(none());
    }
    let bad = |source| match source {
        IdentityError::File { path, source, .. }
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            ClientError::File { path, source }
        }
        source => ClientError::Credentials { state_dir: state_dir.to_owned(), source },
    };
    let dir = IdentityDir::open(state_dir).map_err(bad)?;
    let credentials = match dir.load_credentials(Role::Admin).map_err(bad)? {
        Some(credentials) => credentials,
        None => dir.load_credentials(Role::Reader).map_err(bad)?.ok_or_else(none)?,
    };
    let stored = dir.load_trust(credentials.name().cluster).map_err(bad)?;
    let trust = stored.unwrap_or_else(|| Trust::of(&credentials));
    Ok((credentials, trust))
}

fn is_there(path: &Path) -> Result<bool, ClientError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(source) => Err(ClientError::File { path: path.to_owned(), source }),
    }
}

fn endpoint_in(state_dir: &Path) -> Result<String, ClientError> {
    let path = state_dir.join(ENDPOINT_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => ClientError::NoEndpoint {
            state_dir: state_dir.to_owned(),
            missing: ENDPOINT_FILE.to_owned(),
        },
        _ => ClientError::File { path: path.clone(), source },
    })?;
    let line = text.trim();
    if line.len() > ENDPOINT_BYTES_MAX || line.contains(char::is_whitespace) {
        return Err(ClientError::BadAddress {
            text: line.chars().take(80).collect(),
            reason: format!("{} should hold one host:port", path.display()),
        });
    }
    Ok(line.to_owned())
}

async fn resolve(text: &str) -> Result<Vec<SocketAddr>, ClientError> {
    if let Ok(addr) = text.parse() {
        return Ok(vec![addr]);
    }
    let refuse = |reason: String| ClientError::BadAddress { text: text.to_owned(), reason };
    let found = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host(text))
        .await
        .map_err(|_| refuse("its name was not resolved in time".to_owned()))?;
    let addrs: Vec<SocketAddr> = found.map_err(|error| refuse(error.to_string()))?.collect();
    match addrs.is_empty() {
        false => Ok(addrs),
        true => Err(refuse("its name has no address".to_owned())),
    }
}
