//! Certificates for operators on other machines. The key is made here and stays here.

use std::path::Path;

use gantry_link::identity::{ClusterUuid, IdentityDir, IdentityError, NodeKey, Trust};
use gantry_model::messages::{CertificateIssue, CertificateKind, cluster_path};
use gantry_wire::{Message as _, Role};
use uuid::Uuid;

use crate::{Client, ClientError, READ_PATIENCE};

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Its owner's id, which the log of the master has beside the name.
    pub id: Uuid,
    /// Where a node can be asked, `host:port`.
    pub endpoint: String,
}

impl Client {
    /// Has a certificate of an operator made, and writes it with its key and the authorities into
    /// `dir`, which is made where it is missing and has to be closed to others. What is there of
    /// the same role is replaced.
    ///
    /// # Errors
    /// When the role is none of an operator's, this client may not ask, there is no answer, or the
    /// files cannot be written.
    pub async fn issue_certificate(
        &self,
        role: Role,
        holder: &str,
        dir: &Path,
    ) -> Result<IssuedCertificate, ClientError> {
        let kind = match role {
            Role::Admin => CertificateKind::Admin,
            Role::Reader => CertificateKind::Reader,
            Role::Candidate | Role::Node | Role::Joiner | Role::Lapsed => {
                let reason = format!("{role} is no role of an operator");
                return Err(ClientError::Protocol { message: CertificateIssue::WIRE_NAME, reason });
            }
        };
        let failed =
            |source: IdentityError| ClientError::Credentials { state_dir: dir.to_owned(), source };
        // Before anything is issued: a certificate that cannot be kept is one too many.
        let identities = IdentityDir::open(dir).map_err(failed)?;
        let key = NodeKey::generate().map_err(failed)?;
        let message = CertificateIssue {
            kind,
            holder: holder.to_owned(),
            csr: key.request().map_err(failed)?,
        };
        let answer = self.ask(&cluster_path(), &message, READ_PATIENCE).await?;
        let issued = answer.map_err(ClientError::Fault)?;
        let credentials = key.certified(issued.certificate.chain).map_err(failed)?;
        let name = credentials.name();
        let bundle = &issued.certificate.trust.bundle;
        let trust = Trust::from_pem(ClusterUuid(name.cluster.0), bundle).map_err(failed)?;
        identities.save_trust(&trust).map_err(failed)?;
        identities.save_credentials(&credentials).map_err(failed)?;
        Ok(IssuedCertificate { id: name.id, endpoint: issued.endpoint })
    }
}
