//! TLS as the cluster uses it: version 1.3, both sides by the cluster's authority, names by URI.
//!
//! Certificates have no DNS names. The dialing side says whom it expects through the server name
//! (`<node id>.gantry`, or `any.gantry` where it does not know), which only its own verifier reads.
//! Resumption and early data are off: both would skip the check of a certificate that may have been
//! replaced meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_wire::{NodeId, Role};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
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
pub(super) struct Tls {
    pub(super) client: Arc<QuicClientConfig>,
    /// Only nodes accept connections.
    pub(super) server: Option<Arc<QuicServerConfig>>,
    /// What this end shows; a joiner shows nothing.
    own_chain: Vec<CertificateDer<'static>>,
    trust: Option<Trust>,
}

impl Tls {
    pub(super) fn new(identity: &LinkIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (own_chain, trust) = match identity {
            LinkIdentity::Certified { credentials, trust } => {
                (credentials.chain().to_vec(), Some(trust.clone()))
            }
            LinkIdentity::Joiner { .. } => (Vec::new(), None),
        };
        Ok(Self {
            client: client_side(identity, &provider)?,
            server: server_side(identity, &provider)?,
            own_chain,
            trust,
        })
    }

    pub(super) fn own_chain(&self) -> &[CertificateDer<'static>] {
        &self.own_chain
    }

    /// Whom this end believes; a joiner only the authority of its token.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The role of a peer that was let in: less than its certificate says where only an authority
    /// that is being retired stands for it.
    pub(super) fn role_of(&self, name: &PeerName, chain: &[CertificateDer<'static>]) -> Role {
        let Some(trust) = self.trust.as_ref().filter(|trust| trust.retiring.is_some()) else {
            return name.role;
        };
        // The clock of the handshake itself.
        match accepts(trust, chain, UnixTime::now()) {
            Ok(()) => name.role,
            Err(_) => Role::Lapsed,
        }
    }
}

/// Whether `trust` believes in full a chain that a client or a node shows.
pub(super) fn accepts(
    trust: &Trust,
    chain: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<(), String> {
    let (own, rest) = chain.split_first().ok_or("no certificate")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = roots_of(&trust.authorities).map_err(|error| error.to_string())?;
    signed_by(&roots, &provider, Side::Client, (own, rest), now).map_err(|error| error.to_string())
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
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerVerifier::new(identity, provider)?));
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
    let LinkIdentity::Certified { credentials, .. } = identity else { return Ok(None) };
    if !credentials.name().is_node() {
        return Ok(None);
    }
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .with_client_cert_verifier(Arc::new(PeerVerifier::new(identity, provider)?))
        .with_single_cert(credentials.chain().to_vec(), credentials.key().into())
        .map_err(TlsError::Rustls)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let config = QuicServerConfig::try_from(config).map_err(|_| TlsError::CipherSuite)?;
    Ok(Some(Arc::new(config)))
}

fn roots_of(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| TlsError::Authorities { reason: error.to_string() })?;
    }
    match roots.is_empty() {
        false => Ok(Arc::new(roots)),
        true => Err(TlsError::Authorities { reason: "there is none".to_owned() }),
    }
}

/// Which side of TLS a certificate is shown by; it must be good for that.
#[derive(Clone, Copy, Debug)]
enum Side {
    Server,
    Client,
}

/// Own certificate and the rest of the chain.
type Chain<'a, 'b> = (&'a CertificateDer<'b>, &'a [CertificateDer<'b>]);

/// Whether a chain leads to one of these authorities and is good for that side now.
fn signed_by(
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    side: Side,
    (own, rest): Chain<'_, '_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    match side {
        Side::Server => {
            let algorithms = provider.signature_verification_algorithms.all;
            let own = ParsedCertificate::try_from(own)?;
            verify_server_cert_signed_by_trust_anchor(&own, roots, rest, now, algorithms)
        }
        Side::Client => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .build()
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
            verifier.verify_client_cert(own, rest, now).map(|_| ())
        }
    }
}

/// What an end believes in.
#[derive(Debug)]
enum Anchor {
    Authorities {
        cluster: ClusterUuid,
        roots: Arc<RootCertStore>,
        /// Believed of these nodes, where they are clients.
        retiring: Option<(Arc<RootCertStore>, BTreeSet<NodeId>)>,
    },
    Fingerprint(Fingerprint),
}

/// Checks whoever is at the other end: cluster, role, the node where it is known, and the chain. A
/// client without a certificate is a joiner.
#[derive(Debug)]
struct PeerVerifier {
    anchor: Anchor,
    provider: Arc<CryptoProvider>,
}

impl PeerVerifier {
    fn new(identity: &LinkIdentity, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let anchor = match identity {
            LinkIdentity::Certified { trust, .. } => {
                let retiring = trust.retiring.as_ref().map(|retiring| {
                    let roots = roots_of(std::slice::from_ref(&retiring.authority))?;
                    Ok((roots, retiring.nodes.clone()))
                });
                Anchor::Authorities {
                    cluster: trust.cluster,
                    roots: roots_of(&trust.authorities)?,
                    retiring: retiring.transpose()?,
                }
            }
            LinkIdentity::Joiner { authority } => Anchor::Fingerprint(*authority),
        };
        Ok(Self { anchor, provider: provider.clone() })
    }

    fn check(
        &self,
        side: Side,
        chain: Chain<'_, '_>,
        expected: Option<NodeId>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        // The name first: "of another cluster" says more than "unknown issuer". Nothing is believed
        // before both hold.
        let found = self.check_name(side, chain.0, expected)?;
        let roots = self.roots_for(chain.1)?;
        let checked = signed_by(&roots, &self.provider, side, chain, now);
        match (&self.anchor, side) {
            (Anchor::Authorities { retiring: Some((old, nodes)), .. }, Side::Client)
                if checked.is_err() && found.is_node() && nodes.contains(&found.node()) =>
            {
                signed_by(old, &self.provider, side, chain, now)
            }
            _ => checked,
        }
    }

    fn check_name(
        &self,
        side: Side,
        der: &[u8],
        expected: Option<NodeId>,
    ) -> Result<PeerName, WrongPeer> {
        let found = peer_name_of(der).map_err(WrongPeer::Name)?;
        if let Anchor::Authorities { cluster, .. } = &self.anchor
            && found.cluster != *cluster
        {
            return Err(WrongPeer::Cluster { found: found.cluster, expected: *cluster });
        }
        if matches!(side, Side::Server) && !found.is_node() {
            return Err(WrongPeer::NotANode(found));
        }
        match expected {
            Some(expected) if expected != found.node() => {
                Err(WrongPeer::Node { found: found.node(), expected })
            }
            _ => Ok(found),
        }
    }

    fn roots_for(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<RootCertStore>, rustls::Error> {
        match &self.anchor {
            Anchor::Authorities { roots, .. } => Ok(roots.clone()),
            Anchor::Fingerprint(fingerprint) => {
                let authority = chain
                    .iter()
                    .find(|der| Fingerprint::of(der) == *fingerprint)
                    .ok_or(WrongPeer::Authority(*fingerprint))?;
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone().into_owned())?;
                Ok(Arc::new(roots))
            }
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The part of rustls's two verifier traits that is the same in both; version 1.2 is not spoken.
macro_rules! signatures {
    () => {
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
            self.check_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.schemes()
        }
    };
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let expected = expected_node(server_name);
        self.check(Side::Server, (end_entity, intermediates), expected, now)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a peer has one certificate and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(Side::Client, (end_entity, intermediates), None, now)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

fn expected_node(server_name: &ServerName<'_>) -> Option<NodeId> {
    let ServerName::DnsName(name) = server_name else { return None };
    name.as_ref().strip_suffix(SERVER_SUFFIX)?.parse().ok().map(NodeId)
}
