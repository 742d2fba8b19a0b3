//! The authority's own keys, and certificates made with them.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;

use super::{jws::sha256, state::date};

const TEN_YEARS: i64 = 3653 * 86_400;

/// A root, and the intermediate that signs.
pub(super) struct Hierarchy {
    pub(super) generation: u32,
    pub(super) root: CertificateDer<'static>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    key_id: Vec<u8>,
}

/// A certificate that was made.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) account: usize,
    pub(super) identifiers: Vec<String>,
    pub(super) dates: (i64, i64),
    /// `<key id of the issuer>.<serial>`, as RFC 9773 writes it.
    pub(super) id: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) file: Vec<u8>,
    pub(super) revoked: bool,
}

/// What a certificate is to say.
pub(super) struct Leaf {
    pub(super) names: Vec<SanType>,
    pub(super) dates: (i64, i64),
    pub(super) serial: [u8; 32],
}

/// A leaf: its name in renewal information, itself, and in a file with its chain and without.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) leaf: String,
    pub(super) chain: String,
}

impl Hierarchy {
    /// A new root and intermediate, good from an hour ago for ten years.
    pub(super) fn new(host: &str, generation: u32, now: i64) -> Self {
        let made = |what: &str| {
            let name = format!("{host} {what} {generation}");
            let key_id = sha256(&name).get(..20).unwrap_or_default().to_vec();
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.key_identifier_method = KeyIdMethod::PreSpecified(key_id.clone());
            params.use_authority_key_identifier_extension = true;
            (params.not_before, params.not_after) = (date(now - 3600), date(now + TEN_YEARS));
            (params, key_id)
        };
        let (params, _) = made("root");
        let root = CertifiedIssuer::self_signed(params, new_key()).expect("a root");
        let (params, key_id) = made("intermediate");
        let intermediate =
            CertifiedIssuer::signed_by(params, new_key(), &root).expect("an intermediate");
        Self { generation, root: root.der().clone(), intermediate, key_id }
    }

    /// Makes a certificate for a key.
    pub(super) fn issue(&self, leaf: Leaf, key: &impl PublicKeyData) -> Result<Made, rcgen::Error> {
        let serial = serial(&leaf.serial);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = leaf.names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        (params.not_before, params.not_after) = (date(leaf.dates.0), date(leaf.dates.1));
        let made = params.signed_by(key, &self.intermediate)?;
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok(Made {
            id: format!("{}.{}", text(&self.key_id), text(&integer(&serial))),
            der: made.der().clone(),
            leaf: made.pem(),
            chain: format!("{}{}", made.pem(), self.intermediate.pem()),
        })
    }
}

/// A key that nobody else has.
pub(super) fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// Sixteen bytes, of which the first is not zero.
fn serial(drawn: &[u8; 32]) -> Vec<u8> {
    let mut serial = drawn.get(..16).unwrap_or_default().to_vec();
    if let Some(first) = serial.first_mut() {
        *first = (*first).max(1);
    }
    serial
}

/// A positive number as DER writes it: a leading bit that is set would be a minus.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut integer = bytes.to_vec();
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        integer.insert(0, 0);
    }
    integer
}
