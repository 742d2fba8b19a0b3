//! Our own client: connections that are counted exactly, from an address that is chosen, with a full
//! handshake each. All peers are asked with one key exchange (X25519) and one cipher
//! (AES-128-GCM), which all of them have; h2load asks the same way.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, SupportedCipherSuite,
    client::Resumption,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, spawn_local},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

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

    /// Connections that stay, after one request each.
    pub(super) async fn idle(
        &self,
        count: u64,
        from: Ipv4Addr,
        port: u16,
        offer: Offer,
        path: &str,
    ) -> anyhow::Result<Idle> {
        let mut idle = Idle::default();
        let one = async |_| {
            let mut wire = self.connect(from, port, offer).await?;
            if offer == Offer::Two {
                return Ok((None, Some(ask_two(wire, port, path).await?)));
            }
            match ask(&mut wire, path).await? {
                200 => Ok((Some(wire), None)),
                status => bail!("{path} is answered with {status}"),
            }
        };
        let mut made = stream::iter(0..count).map(one).buffer_unordered(AT_ONCE);
        while let Some((wire, two)) = made.try_next().await? {
            idle.wires.extend(wire);
            idle.senders.extend(two);
        }
        drop(made);
        Ok(idle)
    }
}

/// Connections that stay until this is dropped.
#[derive(Default)]
pub(super) struct Idle {
    wires: Vec<Wire>,
    senders: Vec<(SendRequest<Empty<Bytes>>, Driver)>,
}

/// Drives a connection of HTTP/2 until it is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Idle {
    /// Fails if they are not all still there: each is asked once more.
    pub(super) async fn check(&mut self, path: &str) -> anyhow::Result<()> {
        for wire in &mut self.wires {
            ask(wire, path).await.context("a connection is gone that should idle")?;
        }
        let gone = self.senders.iter().filter(|(sender, _)| sender.is_closed()).count();
        ensure!(gone == 0, "{gone} connections are gone that should idle");
        Ok(())
    }
}

async fn ask_two(
    wire: Wire,
    port: u16,
    path: &str,
) -> anyhow::Result<(SendRequest<Empty<Bytes>>, Driver)> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await?;
    let driver = Driver(spawn_local(async move {
        // How it ended is told to whoever asks.
        _ = connection.await;
    }));
    let request = Request::get(format!("https://{HOST}:{port}{path}")).body(Empty::new())?;
    let answer = sender.send_request(request).await?;
    if answer.status() != 200 {
        bail!("{path} is answered with {}", answer.status());
    }
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok((sender, driver))
}

/// Asks on a connection of HTTP/1, reads the whole answer, and gives its status.
pub(super) async fn ask(wire: &mut Wire, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: bench\r\n\r\n");
    wire.write_all(request.as_bytes()).await?;
    wire.flush().await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if wire.read_buf(&mut answer).await? == 0 {
            bail!("an end without an answer");
        }
        if let Some((status, whole)) = head(&answer)?
            && answer.len() >= whole
        {
            return Ok(status);
        }
    }
}

/// The status of an answer and its whole length, as soon as its head is there.
fn head(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let status = text.split(' ').nth(1).context("a status")?.parse()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |it| it.trim().parse())?;
    Ok(Some((status, end + 4 + length)))
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn an_answer_ends_where_it_says() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhel";
        assert_eq!(head(answer).unwrap(), Some((404, answer.len() + 2)));
        assert_eq!(head(&answer[..30]).unwrap(), None);
    }
}
