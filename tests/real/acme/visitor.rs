//! Somebody who looks at the certificate before anything else, whoever made it.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use gateway_testkit::AnyCertificate;
use rustls::{
    ClientConfig, NamedGroup, ProtocolVersion,
    crypto::{SupportedKxGroup, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::processes::{PATIENCE, eventually};

/// Between two calls of one who calls again and again.
const PAUSE: Duration = Duration::from_millis(5);

/// What a handshake shows.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The certificate.
    pub(super) leaf: CertificateDer<'static>,
    /// How many others came with it.
    pub(super) issuers: usize,
    pub(super) group: Option<NamedGroup>,
    pub(super) version: Option<ProtocolVersion>,
}

/// A handshake for `host` on `port` of this machine.
pub(super) async fn look(port: u16, host: &str) -> Seen {
    let stream = dial(port, host, b"http/1.1").await;
    seen(&stream.unwrap_or_else(|why| panic!("{host}: {why}")))
}

/// Asks for a challenge's answer, as only a directory would.
pub(super) async fn challenge(port: u16, host: &str) -> io::Result<Seen> {
    dial(port, host, b"acme-tls/1").await.map(|stream| seen(&stream))
}

/// Waits until the certificate for `host` is another than `old`.
pub(super) async fn another(port: u16, host: &str, old: &Seen) -> Seen {
    eventually("another certificate", async || {
        let new = look(port, host).await;
        (new.leaf != old.leaf).then_some(new)
    })
    .await
}

fn seen(stream: &TlsStream<TcpStream>) -> Seen {
    let tls = stream.get_ref().1;
    let (leaf, issuers) = tls.peer_certificates().unwrap().split_first().unwrap();
    Seen {
        leaf: leaf.clone().into_owned(),
        issuers: issuers.len(),
        group: tls.negotiated_key_exchange_group().map(SupportedKxGroup::name),
        version: tls.protocol_version(),
    }
}

async fn dial(port: u16, host: &str, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let dialed = async {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        TlsConnector::from(Arc::new(tls)).connect(name, tcp).await
    };
    timeout(PATIENCE, dialed).await.expect("an end of the handshake")
}

/// Somebody who calls again and again, on a new connection each time.
#[derive(Debug)]
pub(super) struct Caller {
    calls: JoinHandle<Calls>,
    /// How many were answered so far.
    answered: watch::Receiver<usize>,
    stop: DropGuard,
}

/// What came of the calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) answered: usize,
    /// Why others were not.
    pub(super) failed: Vec<String>,
    /// The certificates, in the order of their first appearance.
    pub(super) leaves: Vec<CertificateDer<'static>>,
}

impl Caller {
    pub(super) fn start(port: u16, host: &'static str) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (told, answered) = watch::channel(0);
        let calls = TaskTracker::new().spawn(async move {
            let mut calls = Calls::default();
            while !stopped.is_cancelled() {
                match call(port, host).await {
                    Ok(leaf) => {
                        calls.answered += 1;
                        told.send_replace(calls.answered);
                        if !calls.leaves.contains(&leaf) {
                            calls.leaves.push(leaf);
                        }
                    }
                    Err(why) => calls.failed.push(why.to_string()),
                }
                sleep(PAUSE).await;
            }
            calls
        });
        Self { calls, answered, stop: stop.drop_guard() }
    }

    /// Waits for the next call that is begun, and answered.
    pub(super) async fn has_called(&self) {
        let (mut answered, before) = (self.answered.clone(), *self.answered.borrow());
        // The one that is under way does not count.
        let called = answered.wait_for(|answered| *answered > before + 1);
        timeout(PATIENCE, called).await.expect("a call").unwrap();
    }

    /// Lets it call no more.
    pub(super) async fn end(self) -> Calls {
        drop(self.stop);
        self.calls.await.unwrap()
    }
}

/// One request and the head of its answer, whatever that is.
async fn call(port: u16, host: &str) -> io::Result<CertificateDer<'static>> {
    let mut stream = dial(port, host, b"http/1.1").await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if timeout(PATIENCE, stream.read_buf(&mut answer)).await?? == 0 {
            return Err(io::Error::other("an end, and no answer"));
        }
    }
    Ok(seen(&stream).leaf)
}
