//! Our own client: connections that are counted exactly, from an address that is chosen, with a full
//! handshake each. All peers are asked with one key exchange (X25519) and one cipher
//! (AES-128-GCM), which all of them have; h2load asks the same way.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use rustls::{
    ClientConfig, RootCertStore, SupportedCipherSuite,
    client::Resumption,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::client::Version;

use super::connection::{Connection, ask};

/// The host that all of them serve.
pub(super) const HOST: &str = "localhost";

/// Loopback addresses that stand for strangers: 127.0.0.1 is the machine's own, whom the gateway
/// never bans.
pub(super) const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);
pub(super) const BANNED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// How many connections are made at once.
const AT_ONCE: usize = 8;

/// A connection over TLS.
pub(super) type Wire = TlsStream<TcpStream>;

/// How to shake hands.
#[derive(Clone)]
pub(super) struct Client {
    one: Arc<ClientConfig>,
    two: Arc<ClientConfig>,
    /// As a browser does it today, with a key exchange that withstands quantum computers.
    browser: Arc<ClientConfig>,
}

/// What is offered in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/1.
    One,
    /// HTTP/2.
    Two,
    /// HTTP/1, and the hybrid key exchange first.
    Hybrid,
}

impl Client {
    pub(super) fn new(authority: &CertificateDer<'static>) -> anyhow::Result<Self> {
        let groups: &[&'static dyn SupportedKxGroup] = &[aws_lc_rs::kx_group::X25519];
        let hybrid: &[&'static dyn SupportedKxGroup] =
            &[aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
        let make = |groups: &[&'static dyn SupportedKxGroup], protocol: &str| {
            let suites: Vec<SupportedCipherSuite> =
                vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
            let provider = CryptoProvider {
                cipher_suites: suites,
                kx_groups: groups.to_vec(),
                ..aws_lc_rs::default_provider()
            };
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone())?;
            let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(roots)
                .with_no_client_auth();
            tls.resumption = Resumption::disabled();
            tls.alpn_protocols = vec![protocol.into()];
            anyhow::Ok(Arc::new(tls))
        };
        Ok(Self {
            one: make(groups, "http/1.1")?,
            two: make(groups, "h2")?,
            browser: make(hybrid, "http/1.1")?,
        })
    }

    /// A connection over TLS, from an address of this machine.
    pub(super) async fn connect(
        &self,
        from: Ipv4Addr,
        port: u16,
        offer: Offer,
    ) -> anyhow::Result<Wire> {
        let socket = TcpSocket::new_v4()?;
        // The port is found when the peer is known, so that there are enough of them.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let tcp = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        tcp.set_nodelay(true)?;
        let tls = match offer {
            Offer::One => &self.one,
            Offer::Two => &self.two,
            Offer::Hybrid => &self.browser,
        };
        let wire = TlsConnector::from(Arc::clone(tls)).connect(ServerName::try_from(HOST)?, tcp);
        wire.await.context("no handshake")
    }

    /// So many connections, each with a full handshake and one request that is answered with `status`.
    pub(super) async fn each_once(
        &self,
        count: u64,
        from: Ipv4Addr,
        port: u16,
        offer: Offer,
        asked: (&str, u16),
    ) -> anyhow::Result<()> {
        let (path, status) = asked;
        let one = async |_| {
            let mut wire = self.connect(from, port, offer).await?;
            let found = ask(&mut wire, path).await?;
            if found != status {
                bail!("{path} is answered with {found}");
            }
            wire.shutdown().await?;
            Ok(())
        };
        stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// So many connections of whoever is banned: how it ends is the peer's to choose, but it must not
    /// be served.
    pub(super) async fn each_refused(
        &self,
        count: u64,
        from: Ipv4Addr,
        port: u16,
        path: &str,
    ) -> anyhow::Result<()> {
        let one = async |_| {
            let Ok(mut wire) = self.connect(from, port, Offer::One).await else { return Ok(()) };
            match ask(&mut wire, path).await {
                Ok(200) => bail!("who is banned is served"),
                Ok(_) | Err(_) => Ok(()),
            }
        };
        stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// A connection on which one speaks.
    pub(super) async fn open(
        &self,
        from: Ipv4Addr,
        port: u16,
        version: Version,
    ) -> anyhow::Result<Connection> {
        match version {
            Version::One => {
                Ok(Connection::One(Box::new(self.connect(from, port, Offer::One).await?)))
            }
            Version::Two => {
                Connection::two(self.connect(from, port, Offer::Two).await?, port).await
            }
        }
    }

    /// Connections that stay, after one request each.
    pub(super) async fn idle(
        &self,
        count: u64,
        from: Ipv4Addr,
        port: u16,
        version: Version,
        path: &str,
    ) -> anyhow::Result<Vec<Connection>> {
        let one = async |_| {
            let mut connection = self.open(from, port, version).await?;
            match connection.ask(path).await? {
                200 => Ok(connection),
                status => bail!("{path} is answered with {status}"),
            }
        };
        stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).try_collect().await
    }
}
