//! What is known of a connection before its first request.

use std::net::SocketAddr;

use crate::{ClientCertificate, Shown};

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The other end: what a PROXY protocol header said, else the socket's own peer. An IPv4
    /// address stands as one.
    pub peer: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<TlsInfo>,
    /// Whether the peer would have been dropped, and was let in because it could be a CA that looks
    /// for the answer to a challenge: nobody knows from where they come.
    pub for_challenges: bool,
}

/// What the handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The name that the client asked for.
    pub sni: Option<String>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The certificate that the client showed, if it was asked for one and has one. It is the
    /// connection's: behind a proxy that ends TLS, the proxy's.
    pub client: Option<ClientCertificate>,
}

impl Connection {
    /// What the client has shown of itself.
    #[must_use]
    pub fn shown(&self) -> Shown<'_> {
        let certificate = self.tls.as_ref().and_then(|tls| tls.client.as_ref());
        certificate.map_or(Shown::Nothing, Shown::Certificate)
    }
}
