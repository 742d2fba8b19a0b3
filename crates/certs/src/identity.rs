//! A certificate with its key, and what it says of itself.

use std::{net::IpAddr, path::Path, sync::Arc};

use rustls::{InconsistentKeys, crypto::aws_lc_rs::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroize;

use crate::Error;

/// A certificate with its key, ready to be served.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    /// Its number, as the issuer counts, in hexadecimal digits.
    pub serial: String,
    /// Who issued it.
    pub issuer: String,
    /// When it begins, in seconds since 1970.
    pub not_before: i64,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
}

impl Identity {
    /// Checks that the key belongs to the certificate and reads what the certificate says.
    pub(crate) fn new(
        from: &Path,
        chain: Vec<CertificateDer<'static>>,
        mut key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let content = |why: &str| Error::Content(from.to_owned(), why.to_owned());
        let leaf = chain.first().ok_or_else(|| content("no certificate in it"))?;
        let (_, x509) = X509Certificate::from_der(leaf)
            .map_err(|why| content(&format!("not a certificate: {why}")))?;
        let issuer = x509.issuer().to_string();
        let validity = x509.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        let (names, serial) = (names(&x509), hexadecimal(x509.raw_serial()));
        let signing = any_supported_type(&key);
        // From here on only the library has it, which forgets it in order.
        key.zeroize();
        let key = CertifiedKey::new(chain, signing.map_err(Error::Unusable)?);
        match key.keys_match() {
            // A kind of key that does not tell is found out in the first handshake.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(Error::Mismatch),
            Err(other) => return Err(Error::Unusable(other)),
        }
        Ok(Self { key: Arc::new(key), names, serial, issuer, not_before, not_after })
    }

    /// Whether the certificate is for `host`, a wildcard's one label included (RFC 9525 6.3).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // An IPv6 address has many spellings.
        let address: Option<IpAddr> = host.parse().ok();
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            _ if address.is_some() => name.parse().ok() == address,
            Some(parent) => {
                host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
            }
            None => name.eq_ignore_ascii_case(host),
        })
    }

    /// What an operator should know of it, at `now` (seconds since 1970), if it is served for
    /// `hosts`.
    #[must_use]
    pub fn warnings(&self, hosts: &[String], now: i64) -> Vec<String> {
        let mut warnings = Vec::new();
        let days = |seconds: i64| seconds / 86_400;
        if now >= self.not_after {
            warnings.push(format!("it ended {} days ago", days(now - self.not_after)));
        } else if self.not_after - now < 7 * 86_400 {
            warnings.push(format!("it ends in {} days", days(self.not_after - now)));
        }
        if now < self.not_before {
            warnings.push("it has not begun yet: is the clock right?".to_owned());
        }
        for host in hosts.iter().filter(|host| !self.covers(host)) {
            warnings.push(format!("it is not for `{host}`"));
        }
        warnings
    }

    /// The certificate itself, without those that vouch for it.
    #[must_use]
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = x509.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => {
                Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string())
            }
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}
