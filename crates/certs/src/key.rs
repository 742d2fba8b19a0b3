//! The keys of certificates.

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, RsaKeySize,
};

use crate::Error;

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: small, fast, and everything that can verify SHA-256 knows it.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA of 2048 bits, for callers of webhooks that are too old for ECDSA.
    Rsa2048,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeyKind {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// Makes a key.
    pub(crate) fn generate(self) -> Result<KeyPair, Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
        .map_err(Error::Made)
    }
}

/// A request for a certificate for `host`, in DER. It has no subject: CAs take the name from the
/// SAN, and some refuse a common name that is an address.
pub(crate) fn signing_request(host: &str, key: &KeyPair) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::new([host.to_owned()]).map_err(Error::Made)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).map_err(Error::Made)?;
    Ok(request.der().to_vec())
}
