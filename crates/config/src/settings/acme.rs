//! What the mechanism is told of certification authorities.

use std::{path::PathBuf, time::Duration};

use crate::SecretBytes;

/// Certificates from certification authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Where a CA writes to.
    pub email: String,
    /// The CAs, the first first.
    pub directories: Vec<Directory>,
    /// How control of the hosts is shown, the first first.
    pub challenges: Vec<Challenge>,
    /// Who publishes TXT records.
    pub dns: Option<Dns>,
    /// The kind of the certificates' keys.
    pub key_type: KeyType,
}

/// A certification authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// How it is called in metrics and logs.
    pub name: String,
    /// Its ACME directory.
    pub url: String,
    /// Its staging directory.
    pub staging: Option<String>,
    /// The file with the roots that the directory's own certificate is checked with, and its
    /// content: PEM.
    pub root: Option<(PathBuf, Vec<u8>)>,
    /// The account that the gateway's own is bound to.
    pub eab: Option<Eab>,
    /// The kind of certificate.
    pub profile: Option<String>,
}

/// External account binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eab {
    /// The account's name at the CA.
    pub key_id: String,
    /// Its key.
    pub hmac_key: SecretBytes,
}

/// A way to show control of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A certificate shown on port 443.
    TlsAlpn01,
    /// A file on port 80.
    Http01,
    /// A TXT record.
    Dns01,
}

impl Challenge {
    /// Its name in the policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// Who publishes TXT records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who.
    pub publisher: Publisher,
    /// How long a record takes until every name server has it.
    pub propagation: Duration,
}

/// Who publishes TXT records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// A program of the operator's.
    Hook(PathBuf),
    /// A name server that takes updates.
    Rfc2136(Box<Rfc2136>),
}

/// A name server that takes updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136 {
    /// `host:port`.
    pub server: String,
    /// The zone that the records are in.
    pub zone: String,
    /// What updates are signed with.
    pub key: Option<TsigKey>,
}

/// A key of TSIG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name.
    pub name: String,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// Its bytes.
    pub secret: SecretBytes,
}

/// An algorithm of TSIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
    /// HMAC-SHA512.
    Sha512,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeyType {
    /// Its name in the policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        }
    }
}
