//! PEM: keys and certificates as text.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// What a PEM file of ours may hold.
#[derive(Default)]
pub(super) struct PemText {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: Option<PrivatePkcs8KeyDer<'static>>,
}

impl PemText {
    /// Reads every block. The reason of a refusal is for people.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parsed = Self::default();
        for block in pem::parse_many(text).map_err(|_| "not PEM".to_owned())? {
            match (block.tag(), &parsed.key) {
                (CERTIFICATE, _) => parsed.certificates.push(block.into_contents().into()),
                (PRIVATE_KEY, None) => parsed.key = Some(block.into_contents().into()),
                (PRIVATE_KEY, Some(_)) => return Err("more than one private key".to_owned()),
                (tag, _) => return Err(format!("unexpected block {tag:?}")),
            }
        }
        Ok(parsed)
    }

    /// The text: certificates first, as most tools expect.
    pub(super) fn to_text(&self) -> String {
        let mut blocks: Vec<pem::Pem> =
            self.certificates.iter().map(|der| pem::Pem::new(CERTIFICATE, der.as_ref())).collect();
        if let Some(key) = &self.key {
            blocks.push(pem::Pem::new(PRIVATE_KEY, key.secret_pkcs8_der()));
        }
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_many_config(&blocks, config)
    }
}
