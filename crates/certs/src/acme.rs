//! What an operator asks of certification authorities, and the protocol that asks them for it
//! (ACME, RFC 8555).

mod account;
mod answers;
mod directory;
pub(crate) mod dns;
mod failure;
mod issue;
mod show;
mod transport;

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

pub(crate) use self::transport::LONGEST_LIMIT;
pub(crate) use self::{
    account::Accounts,
    answers::{ACME_TLS, Published},
    directory::Desk,
    failure::{Failure, Kind},
    issue::{Errand, Issued, issue, revoke},
};
pub use self::{
    answers::{Challenges, asked_for},
    dns::DnsError,
    transport::{Https, Internet, NoInternet},
};

use crate::KeyKind;

/// What an operator asks of certification authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Where a CA writes to when something is wrong with a certificate.
    pub email: String,
    /// Who is asked, the first first.
    pub directories: Vec<Directory>,
    /// How control of a host is shown, the first first.
    pub challenges: Vec<Challenge>,
    /// Who publishes the answers of dns-01.
    pub dns: Option<Dns>,
    /// The kind of the certificates' keys.
    pub key: KeyKind,
}

/// A certification authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// How it is called in metrics, logs and records.
    pub name: String,
    /// Its ACME directory.
    pub url: String,
    /// A directory of the same CA whose certificates nobody trusts and whose limits are wide: where
    /// it is tried first after a failure.
    pub staging: Option<String>,
    /// The roots that its own TLS certificate is checked with, PEM; the machine's where there are
    /// none.
    pub roots: Option<Vec<u8>>,
    /// The account that the CA wants an ACME account to be bound to (RFC 8555 7.3.4).
    pub external: Option<ExternalAccount>,
    /// The kind of certificate, for a CA that has several.
    pub profile: Option<String>,
}

impl Directory {
    /// Its staging directory, as a directory.
    pub(crate) fn rehearsal(&self) -> Option<Self> {
        let url = self.staging.clone()?;
        Some(Self { name: format!("{}-staging", self.name), url, staging: None, ..self.clone() })
    }
}

/// An account at a CA that was not made by ACME.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name at the CA.
    pub id: String,
    /// The key that binds, as bytes.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A way to show control of a host.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
)]
pub enum Challenge {
    /// A certificate shown on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A file on port 80 (RFC 8555 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record (RFC 8555 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
}

impl Challenge {
    /// Its name in the protocol and in the policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }

    fn kind(self) -> instant_acme::ChallengeType {
        match self {
            Self::TlsAlpn01 => instant_acme::ChallengeType::TlsAlpn01,
            Self::Http01 => instant_acme::ChallengeType::Http01,
            Self::Dns01 => instant_acme::ChallengeType::Dns01,
        }
    }

    /// Whether it can show control of `host`: an address has no TXT record (RFC 8738 5).
    fn fits(self, host: &str) -> bool {
        self != Self::Dns01 || address(host).is_none()
    }
}

/// Who publishes TXT records, and how long to wait until everybody sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Who.
    pub publisher: Publisher,
    /// How long a record takes from there to the CA.
    pub propagation: Duration,
}

/// Who publishes TXT records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// A program of the operator's, called `program present|cleanup FQDN. VALUE`: what lego calls
    /// its `exec` provider.
    Hook(PathBuf),
    /// Updates sent to a name server (RFC 2136).
    Update(Box<Update>),
}

/// A name server that takes updates.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    /// Its address or name, and its port.
    pub server: String,
    /// The zone that the records are in.
    pub zone: String,
    /// What the updates are signed with (RFC 8945), where they are.
    pub key: Option<TsigKey>,
}

/// A key of TSIG.
#[derive(Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name at the server.
    pub name: String,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// Its bytes.
    pub secret: zeroize::Zeroizing<Vec<u8>>,
}

/// An algorithm of TSIG; MD5 and SHA-1 are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
    /// HMAC-SHA512.
    Sha512,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|key| &key.name);
        let mut shown = f.debug_struct("Update");
        shown.field("server", &self.server).field("zone", &self.zone).field("key", &key).finish()
    }
}

/// What is wanted: certificates for these hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// For whom, the site's own host first. An IPv6 address stands without brackets.
    pub hosts: Vec<String>,
    /// From whom and how.
    pub acme: Arc<Acme>,
}

/// The address that `host` is, if it is one.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
