//! What an authority does to see whether a challenge is won: it asks on port 80, or makes a handshake
//! on port 443, from wherever it pleases.

use std::{future::Future, io, pin::Pin, sync::Arc};

use ::aws_lc_rs::digest::{SHA256, digest};
use gateway_certs::asked_for;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::{Ask, Validate, Verdict};

/// Opens a connection to port 80 or to port 443.
pub type Dial = dyn Fn(u16) -> Option<DuplexStream> + Send + Sync;

/// Looks at challenges over connections that it is given.
pub struct Probe {
    dial: Arc<Dial>,
}

impl Probe {
    /// With connections made by `dial`; nothing is a port that is closed.
    pub fn new(dial: impl Fn(u16) -> Option<DuplexStream> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { dial: Arc::new(dial) })
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Validate for Probe {
    fn validate(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
        let dial = Arc::clone(&self.dial);
        Box::pin(async move {
            let port = if ask.challenge == "http-01" { 80 } else { 443 };
            let Some(io) = dial(port) else {
                return Err(("connection", format!("port {port}: connection refused")));
            };
            if port == 80 { http(io, &ask).await } else { tls(io, &ask).await }
        })
    }
}

/// Asks for the file of http-01 (RFC 8555 8.3).
async fn http(mut io: impl AsyncRead + AsyncWrite + Unpin, ask: &Ask) -> Verdict {
    let Ask { identifier, token, key_authorization, .. } = ask;
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {identifier}\r\n\
         User-Agent: an authority\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    let said = async {
        io.write_all(request.as_bytes()).await?;
        io.read_to_end(&mut answer).await
    };
    if let Err(why) = said.await {
        return Err(("connection", why.to_string()));
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") && body.trim_end() == key_authorization {
        return Ok(());
    }
    let first = head.lines().next().unwrap_or_default();
    let kind = if first.is_empty() { "connection" } else { "unauthorized" };
    Err((kind, format!("{first}: {}", body.chars().take(80).collect::<String>())))
}

/// `id-pe-acmeIdentifier` (RFC 8737 3).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// Makes the handshake of tls-alpn-01.
async fn tls(io: impl AsyncRead + AsyncWrite + Unpin, ask: &Ask) -> Verdict {
    let leaf = shown(io, &asked_for(&ask.identifier)).await;
    let leaf = leaf.map_err(|why| ("tls", why.to_string()))?;
    let (_, leaf) =
        X509Certificate::from_der(&leaf).map_err(|why| ("unauthorized", why.to_string()))?;
    let extension = leaf.extensions().iter().find(|it| it.oid.to_id_string() == ACME_IDENTIFIER);
    let Some(extension) = extension.filter(|it| it.critical) else {
        return Err(("unauthorized", "not a certificate for a challenge".to_owned()));
    };
    let names = leaf.subject_alternative_name().ok().flatten();
    let count = names.map_or(0, |it| it.value.general_names.len());
    // An OCTET STRING of 32 bytes.
    let mut expected = vec![4, 32];
    expected.extend_from_slice(digest(&SHA256, ask.key_authorization.as_bytes()).as_ref());
    if extension.value == expected && count == 1 {
        Ok(())
    } else {
        Err(("unauthorized", "another key authorization".to_owned()))
    }
}

async fn shown(
    io: impl AsyncRead + AsyncWrite + Unpin,
    name: &str,
) -> io::Result<CertificateDer<'static>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, io).await?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err(io::Error::other("another protocol"));
    }
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    leaf.cloned().ok_or_else(|| io::Error::other("no certificate"))
}

/// Any certificate will do: whoever uses this looks at it. Signatures are taken as they are: rustls
/// cannot verify any by a certificate with a critical extension that it does not know.
#[derive(Debug)]
pub struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}
