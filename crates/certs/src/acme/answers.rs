//! The answers to challenges, as long as a CA may ask for them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName};
use rustls::{crypto::aws_lc_rs, server::ClientHello, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::address;
use crate::{Error, KeyKind};

/// The protocol of tls-alpn-01 in a handshake (RFC 8737 3).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// What CAs may ask for now. Its answers are public: they show nothing but that this is the host
/// which asked.
#[derive(Debug, Default)]
pub struct Challenges {
    answers: RwLock<Answers>,
    pending: AtomicUsize,
}

#[derive(Debug, Default)]
struct Answers {
    /// Of http-01, by token.
    files: HashMap<String, String>,
    /// Of tls-alpn-01, by the name that a CA asks for.
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

/// Something that is answered until this is dropped.
#[derive(Debug)]
pub(crate) struct Published {
    challenges: Arc<Challenges>,
    what: What,
}

#[derive(Debug)]
enum What {
    File(String),
    Certificate(String),
}

impl Challenges {
    /// Whether a CA may ask for something now.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// The answer of http-01 to `token`.
    #[must_use]
    pub fn file(&self, token: &str) -> Option<String> {
        if !self.pending() {
            return None;
        }
        self.answers.read().unwrap_or_else(PoisonError::into_inner).files.get(token).cloned()
    }

    /// The certificate of tls-alpn-01, if `hello` is a CA's.
    pub(crate) fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        answers.certificates.get(&name).cloned()
    }

    pub(crate) fn publish_file(self: &Arc<Self>, token: &str, answer: &str) -> Published {
        self.publish(What::File(token.to_owned()), |answers| {
            answers.files.insert(token.to_owned(), answer.to_owned());
        })
    }

    /// Shows a certificate for `host` with `digest` in it (RFC 8737 3).
    pub(crate) fn publish_certificate(
        self: &Arc<Self>,
        host: &str,
        digest: &[u8],
    ) -> Result<Published, Error> {
        let key = KeyKind::P256.generate()?;
        let mut params = CertificateParams::new([host.to_owned()]).map_err(Error::Made)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let made = params.self_signed(&key).map_err(Error::Made)?;
        let name = asked_for(host);
        let place = "the certificate of tls-alpn-01";
        let secret = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|why| Error::Content(place.into(), why.to_owned()))?;
        let secret = aws_lc_rs::default_provider().key_provider.load_private_key(secret);
        let chain = vec![CertificateDer::from(made.der().to_vec())];
        // Not checked: the extension is critical, and rustls's own check does not know it.
        let shown = Arc::new(CertifiedKey::new(chain, secret.map_err(Error::Unusable)?));
        Ok(self.publish(What::Certificate(name.clone()), |answers| {
            answers.certificates.insert(name, shown);
        }))
    }

    fn publish(self: &Arc<Self>, what: What, add: impl FnOnce(&mut Answers)) -> Published {
        add(&mut self.answers.write().unwrap_or_else(PoisonError::into_inner));
        self.pending.fetch_add(1, Ordering::Release);
        Published { challenges: Arc::clone(self), what }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let mut answers = self.challenges.answers.write().unwrap_or_else(PoisonError::into_inner);
        match &self.what {
            What::File(token) => drop(answers.files.remove(token)),
            What::Certificate(name) => drop(answers.certificates.remove(name)),
        }
        self.challenges.pending.fetch_sub(1, Ordering::Release);
    }
}

/// The name that a CA asks for when it means `host` by tls-alpn-01: for an address, its name in the
/// reverse zone (RFC 8738 6).
#[must_use]
pub fn asked_for(host: &str) -> String {
    match address(host) {
        None => host.to_ascii_lowercase(),
        Some(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Some(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|it| [it & 15, it >> 4]);
            let labels: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        assert_eq!(asked_for("N8N.test"), "n8n.test");
        assert_eq!(asked_for("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        let six = asked_for("2001:db8::1");
        assert!(
            six.starts_with("1.0.0.0.0.0") && six.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{six}"
        );
    }

    #[test]
    fn an_answer_is_there_as_long_as_it_is_published() {
        let challenges = Arc::new(Challenges::default());
        assert!(challenges.file("token").is_none() && !challenges.pending());
        let one = challenges.publish_file("token", "token.thumb");
        let two = challenges.publish_certificate("n8n.test", &[7; 32]).unwrap();
        assert_eq!(challenges.file("token").unwrap(), "token.thumb");
        drop(one);
        assert!(challenges.file("token").is_none() && challenges.pending());
        drop(two);
        assert!(!challenges.pending());
    }
}
