//! Certificates that clients show, authorities that issue them, and connections with them.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::{
    ClientConfig, SignatureScheme, SupportedProtocolVersion, client::ResolvesClientCert,
    crypto::aws_lc_rs, sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::DuplexStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Client, Gateway};

/// An authority for clients.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of a client's, with its key.
#[derive(Debug)]
pub struct ClientIdentity {
    certified: Arc<CertifiedKey>,
    told: Mutex<Option<Vec<Vec<u8>>>>,
}

impl Authority {
    /// An authority called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let (mut params, pair) = (named(name), KeyPair::generate().expect("a key"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&pair).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, pair) }
    }

    /// Its certificate, as the policy refers to it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `name`.
    #[must_use]
    pub fn issue(&self, name: &str) -> Arc<ClientIdentity> {
        self.issue_with(name, |_| {})
    }

    /// A certificate for `name`, with `change` made to it.
    pub fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ClientIdentity> {
        let (mut params, pair) = (named(name), KeyPair::generate().expect("a key"));
        change(&mut params);
        let made = params.signed_by(&pair, &self.issuer).expect("a certificate");
        ClientIdentity::new(made.der().clone(), &pair)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("key", &self.issuer.key().der_bytes()).finish()
    }
}

impl ClientIdentity {
    fn new(certificate: CertificateDer<'static>, pair: &KeyPair) -> Arc<Self> {
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("a key");
        let key = aws_lc_rs::sign::any_supported_type(&key).expect("a key");
        let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
        Arc::new(Self { certified, told: Mutex::default() })
    }

    /// One that a client has made for itself, called `name`.
    #[must_use]
    pub fn own(name: &str) -> Arc<Self> {
        let pair = KeyPair::generate().expect("a key");
        let made = named(name).self_signed(&pair).expect("a certificate");
        Self::new(made.der().clone(), &pair)
    }

    /// The same certificate with a key that is not its own.
    #[must_use]
    pub fn stolen(&self) -> Arc<Self> {
        let certificate = self.certified.cert.first().expect("a certificate");
        Self::new(certificate.clone(), &KeyPair::generate().expect("a key"))
    }

    /// The names of the authorities whose certificates the gateway asked for, in DER, once it has
    /// asked for one.
    #[must_use]
    pub fn asked(&self) -> Option<Vec<Vec<u8>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesClientCert for ClientIdentity {
    // Shown whatever is asked for, as some senders do.
    fn resolve(&self, names: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = names.iter().map(|name| name.to_vec()).collect();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(names);
        Some(Arc::clone(&self.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Gateway {
    /// How a client makes its handshakes; it remembers its sessions.
    #[must_use]
    pub fn client_config(
        &self,
        alpn: &'static str,
        versions: &[&'static SupportedProtocolVersion],
        shows: Option<&Arc<ClientIdentity>>,
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("a provider with versions")
            .with_root_certificates(self.roots());
        let mut config = match shows {
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity) as _),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Arc::new(config)
    }

    /// The TLS handshake with the policy's site from `from`.
    ///
    /// # Errors
    ///
    /// A handshake that fails.
    pub async fn secure_as(
        &self,
        from: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<TlsStream<DuplexStream>> {
        let name = ServerName::try_from("n8n.test").expect("a host name");
        TlsConnector::from(Arc::clone(config)).connect(name, self.dial(from)).await
    }

    /// A client on a connection of its own, as `config` says.
    pub async fn client_as(&self, from: &str, config: &Arc<ClientConfig>) -> Client {
        self.speak(self.secure_as(from, config).await.expect("a handshake")).await
    }

    /// A client on `io`, in the version of HTTP that the handshake settled.
    pub async fn speak(&self, io: TlsStream<DuplexStream>) -> Client {
        if io.get_ref().1.alpn_protocol() == Some(b"h2") {
            Client::h2(io, &self.tasks).await
        } else {
            Client::h1(io, &self.tasks).await
        }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
