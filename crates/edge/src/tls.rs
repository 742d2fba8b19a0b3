//! TLS: one provider, the strongest key exchange first, session tickets that rotate.

use std::{io, sync::Arc};

use gateway_policy::ClientCertificate;
use rustls::{
    ProtocolVersion, ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    server::{Acceptor, ResolvesServerCert},
    version,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::ClientAuthorities;

/// The lowest version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinVersion {
    /// 1.2; rustls has AEAD suites only.
    Tls12,
    /// 1.3.
    Tls13,
}

/// How handshakes are made, and what is made of them.
#[derive(Clone, Debug)]
pub struct Handshakes {
    /// How they are made.
    pub config: Arc<ServerConfig>,
    /// Who may vouch for clients.
    pub clients: ClientAuthorities,
}

impl Handshakes {
    /// The certificate that the client showed, in this handshake or in the one that it resumed.
    pub(crate) fn client(&self, session: &ServerConnection) -> Option<ClientCertificate> {
        let now = self.config.time_provider.current_time()?;
        self.clients.vouch(session.peer_certificates()?, now)
    }
}

/// How handshakes are made: HTTP/2 and HTTP/1.1 by ALPN, no early data (it can be replayed), and
/// a certificate asked of clients if there is anybody to vouch for them.
///
/// # Errors
///
/// The provider lacks a version or randomness for the ticket keys.
pub fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    min_version: MinVersion,
    clients: &ClientAuthorities,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions: &[_] = match min_version {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => &[&version::TLS13],
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match clients.asking() {
        Some(asking) => builder.with_client_cert_verifier(asking),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    // Whoever resumes gets another one; a second one at once is a tenth of a handshake.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The protocol of a handshake that answers a CA (RFC 8737).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// A handshake with a peer that is here for the answer to a challenge: with anything else it comes
/// to nothing.
pub(crate) async fn challenge<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<IO>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    // Alone: beside another protocol, that one would be spoken.
    let alone = start
        .client_hello()
        .alpn()
        .is_some_and(|mut it| it.next() == Some(ACME_TLS) && it.next().is_none());
    if alone {
        start.into_stream(config).await
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

pub(crate) fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "other",
    }
}
