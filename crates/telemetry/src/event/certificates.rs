//! What is said of certificates.

use serde::Serialize;

use super::Event;
use crate::{Level, Metrics, names::event};

/// A certificate is served.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateLoaded {
    /// For whom.
    pub hosts: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// What somebody should know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Event for CertificateLoaded {
    const NAME: &'static str = event::CERTIFICATE_LOADED;

    fn level(&self) -> Level {
        if self.warnings.is_empty() { Level::Info } else { Level::Warn }
    }

    fn count(&self, metrics: &Metrics) {
        for host in &self.hosts {
            metrics.certificate(host, self.not_after, false, None);
        }
    }
}

/// The operator asks for certificates before their time.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateOrdered {
    /// For whom.
    pub hosts: Vec<String>,
    /// Who asked.
    pub by: String,
}

impl Event for CertificateOrdered {
    const NAME: &'static str = event::CERTIFICATE_ORDERED;
}

/// A CA has issued a certificate, and it is served.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateIssued {
    /// For whom.
    pub host: String,
    /// The CA's name in the policy.
    pub directory: String,
    /// What showed control of the host; nothing if the CA still knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<&'static str>,
    /// Who issued it.
    pub issuer: String,
    /// Its number, in hexadecimal digits.
    pub serial: String,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
}

impl Event for CertificateIssued {
    const NAME: &'static str = event::CERTIFICATE_ISSUED;
}

/// No CA has issued a certificate; what was served before still is.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateFailed {
    /// For whom.
    pub host: String,
    /// The CAs that were asked, by their names in the policy.
    pub directory: String,
    /// What a person should look at.
    pub error: String,
    /// How many attempts in a row have failed.
    pub failures: u32,
    /// When it is tried again, in seconds since 1970.
    pub next_attempt: i64,
    /// Whether a certificate is served that a CA has issued and that has not ended.
    pub served: bool,
}

impl Event for CertificateFailed {
    const NAME: &'static str = event::CERTIFICATE_FAILED;

    fn level(&self) -> Level {
        if self.served { Level::Warn } else { Level::Error }
    }
}

/// Hosts have a temporary certificate, which nobody trusts, until a CA has issued one.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateTemporary {
    /// The hosts.
    pub hosts: Vec<String>,
}

impl Event for CertificateTemporary {
    const NAME: &'static str = event::CERTIFICATE_TEMPORARY;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// A file of the store is broken or another's. It was set aside and is not in the way.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateSetAside {
    /// Where it was; it is there now with `.broken` at its end.
    pub file: String,
    /// What is wrong with it.
    pub error: String,
}

impl Event for CertificateSetAside {
    const NAME: &'static str = event::CERTIFICATE_SET_ASIDE;

    fn level(&self) -> Level {
        Level::Warn
    }
}

/// A new certificate is in use, and a handshake shows another.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateNotServed {
    /// For whom.
    pub host: String,
    /// What was seen.
    pub error: String,
}

impl Event for CertificateNotServed {
    const NAME: &'static str = event::CERTIFICATE_NOT_SERVED;

    fn level(&self) -> Level {
        Level::Error
    }
}

/// A certificate was revoked by the operator.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateRevoked {
    /// For whom it was.
    pub host: String,
    /// Its number, in hexadecimal digits.
    pub serial: String,
    /// Why, as RFC 5280 names it.
    pub reason: &'static str,
    /// Who asked for it.
    pub by: String,
}

impl Event for CertificateRevoked {
    const NAME: &'static str = event::CERTIFICATE_REVOKED;

    fn level(&self) -> Level {
        Level::Warn
    }
}
