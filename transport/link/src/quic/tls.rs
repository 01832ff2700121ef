//! TLS as the cluster uses it: version 1.3, both sides by the cluster's authority, names by URI.
//!
//! Certificates have no DNS names. The dialing side says whom it expects through the server name
//! (`<node id>.gantry`, or `any.gantry` where it does not know), which only its own verifier reads.
//! Resumption and early data are off: both would skip the check of a certificate that may have been
//! replaced meanwhile.

use std::sync::Arc;

use gantry_wire::NodeId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
};

use super::link::LinkIdentity;
use crate::identity::{ClusterUuid, Fingerprint, PeerName, Trust, peer_name_of};

const ALPN: &[u8] = b"gantry/1";
const ANY_SERVER: &str = "any.gantry";
const SERVER_SUFFIX: &str = ".gantry";

/// Why TLS could not be set up from an identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificates and key are not usable together.
    #[error("cannot set up TLS")]
    Rustls(#[source] rustls::Error),
    /// The authorities cannot be used to check anybody.
    #[error("cannot use the cluster's authorities: {reason}")]
    Authorities {
        /// What is wrong.
        reason: String,
    },
    /// The provider lacks what QUIC needs.
    #[error("no cipher suite fit for QUIC")]
    CipherSuite,
}

/// A peer that proved an identity, but not one that may be at the other end.
#[derive(Debug, thiserror::Error)]
enum WrongPeer {
    #[error("certificate is of cluster {found}, this is cluster {expected}")]
    Cluster { found: ClusterUuid, expected: ClusterUuid },
    #[error("certificate is of role {}, a server must be a node or candidate", .0.role)]
    NotANode(PeerName),
    #[error("certificate is of node {found}, expected node {expected}")]
    Node { found: NodeId, expected: NodeId },
    #[error("certificate has no gantry name")]
    Name(#[source] crate::identity::IdentityError),
    #[error("no authority with fingerprint {0} in the server's chain")]
    Authority(Fingerprint),
}

impl From<WrongPeer> for rustls::Error {
    fn from(wrong: WrongPeer) -> Self {
        Self::Other(OtherError(Arc::new(wrong)))
    }
}

/// The two sides of TLS for one identity.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) client: Arc<QuicClientConfig>,
    /// Only nodes accept connections.
    pub(super) server: Option<Arc<QuicServerConfig>>,
}

impl Tls {
    pub(super) fn new(identity: &LinkIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self {
            client: client_side(identity, &provider)?,
            server: server_side(identity, &provider)?,
        })
    }
}

/// Whether a chain that a peer showed earlier would be accepted by `trust` now.
pub(super) fn accepts(
    trust: &Trust,
    chain: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<(), String> {
    let (own, rest) = chain.split_first().ok_or("no certificate")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = roots_of(trust).map_err(|error| error.to_string())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    verifier.verify_client_cert(own, rest, now).map(|_| ()).map_err(|error| error.to_string())
}

/// The server name by which our verifier learns whom to expect.
pub(super) fn server_name(expected: Option<NodeId>) -> String {
    match expected {
        Some(node) => format!("{node}{SERVER_SUFFIX}"),
        None => ANY_SERVER.to_owned(),
    }
}

fn client_side(
    identity: &LinkIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<QuicClientConfig>, TlsError> {
    let anchor = match identity {
        LinkIdentity::Certified { trust, .. } => {
            Anchor::Authorities { roots: roots_of(trust)?, cluster: trust.cluster }
        }
        LinkIdentity::Joiner { authority } => Anchor::Fingerprint(*authority),
    };
    let verifier =
        Arc::new(ServerVerifier { anchor, algorithms: provider.signature_verification_algorithms });
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        LinkIdentity::Certified { credentials, .. } => builder
            .with_client_auth_cert(credentials.chain().to_vec(), credentials.key().into())
            .map_err(TlsError::Rustls)?,
        LinkIdentity::Joiner { .. } => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    QuicClientConfig::try_from(config).map(Arc::new).map_err(|_| TlsError::CipherSuite)
}

fn server_side(
    identity: &LinkIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<QuicServerConfig>>, TlsError> {
    let LinkIdentity::Certified { credentials, trust } = identity else { return Ok(None) };
    if !credentials.name().is_node() {
        return Ok(None);
    }
    let chain_verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots_of(trust)?), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Authorities { reason: error.to_string() })?;
    let verifier = Arc::new(ClientVerifier { chain_verifier, cluster: trust.cluster });
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(credentials.chain().to_vec(), credentials.key().into())
        .map_err(TlsError::Rustls)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let config = QuicServerConfig::try_from(config).map_err(|_| TlsError::CipherSuite)?;
    Ok(Some(Arc::new(config)))
}

fn roots_of(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in &trust.authorities {
        roots
            .add(authority.clone())
            .map_err(|error| TlsError::Authorities { reason: error.to_string() })?;
    }
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(TlsError::Authorities { reason: "there is none".to_owned() }),
    }
}

/// What the dialing side believes in.
#[derive(Debug)]
enum Anchor {
    Authorities { roots: RootCertStore, cluster: ClusterUuid },
    Fingerprint(Fingerprint),
}

/// Checks a server: chain, cluster, role, and the node where it is known.
#[derive(Debug)]
struct ServerVerifier {
    anchor: Anchor,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    fn check_name(&self, der: &[u8], server_name: &ServerName<'_>) -> Result<(), WrongPeer> {
        let found = peer_name_of(der).map_err(WrongPeer::Name)?;
        if let Anchor::Authorities { cluster, .. } = &self.anchor
            && found.cluster != *cluster
        {
            return Err(WrongPeer::Cluster { found: found.cluster, expected: *cluster });
        }
        if !found.is_node() {
            return Err(WrongPeer::NotANode(found));
        }
        match expected_node(server_name) {
            Some(expected) if expected != found.node() => {
                Err(WrongPeer::Node { found: found.node(), expected })
            }
            _ => Ok(()),
        }
    }

    fn roots_for(&self, chain: &[CertificateDer<'_>]) -> Result<RootCertStore, rustls::Error> {
        match &self.anchor {
            Anchor::Authorities { roots, .. } => Ok(roots.clone()),
            Anchor::Fingerprint(fingerprint) => {
                let authority = chain
                    .iter()
                    .find(|der| Fingerprint::of(der) == *fingerprint)
                    .ok_or(WrongPeer::Authority(*fingerprint))?;
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone().into_owned())?;
                Ok(roots)
            }
        }
    }
}

fn expected_node(server_name: &ServerName<'_>) -> Option<NodeId> {
    let ServerName::DnsName(name) = server_name else { return None };
    name.as_ref().strip_suffix(SERVER_SUFFIX)?.parse().ok().map(NodeId)
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name first: "of another cluster" says more than "unknown issuer". Nothing is believed
        // before both hold.
        self.check_name(end_entity, server_name)?;
        let roots = self.roots_for(intermediates)?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks a client that shows a certificate: chain and cluster. One without is a joiner.
#[derive(Debug)]
struct ClientVerifier {
    chain_verifier: Arc<dyn ClientCertVerifier>,
    cluster: ClusterUuid,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain_verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let found = peer_name_of(end_entity).map_err(WrongPeer::Name)?;
        if found.cluster != self.cluster {
            let wrong = WrongPeer::Cluster { found: found.cluster, expected: self.cluster };
            return Err(wrong.into());
        }
        self.chain_verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain_verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain_verifier.supported_verify_schemes()
    }
}
