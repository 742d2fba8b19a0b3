//! From a socket to requests: the door, the PROXY protocol, TLS, HTTP.

use std::{
    any::Any,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use gateway_policy::{Connection, Cut, Reason, TlsInfo, canonical};
use gateway_telemetry::{ConnectionKind, Open, Telemetry};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{
    Bounds, Handshakes, Leave,
    fate::Fate,
    http as wire,
    pace::Paced,
    proxy_protocol,
    tls::{ACME_TLS, challenge, version_name},
};

/// Who may come in.
pub trait Door: Clone + Send + Sync + 'static {
    /// Held as long as the connection is open.
    type Pass: Pass;
    /// Held as long as its handshake lasts.
    type Handshake: Send;

    /// Lets a connection from `peer` in, or says why it is dropped without a word, as a metric
    /// names it.
    ///
    /// # Errors
    ///
    /// The reason.
    fn admit(
        &self,
        peer: IpAddr,
    ) -> impl Future<Output = Result<Admission<Self::Pass>, &'static str>> + Send;

    /// Lets `peer` begin a handshake, or says why not, as a metric names it.
    ///
    /// # Errors
    ///
    /// The reason.
    fn shake(&self, peer: IpAddr) -> Result<Self::Handshake, &'static str>;

    /// Whether `peer` begins its connections with a PROXY protocol header.
    fn vouches(&self, peer: IpAddr) -> bool;

    /// What a connection of `peer` is held to.
    fn bounds(&self, peer: IpAddr) -> Bounds;

    /// Takes down that a connection of `peer` was cut.
    fn cut(&self, peer: IpAddr, cut: Cut);
}

/// What the door gives for a connection.
pub trait Pass: Send + Sync + 'static {
    /// Waits until the connection is to end at once, whatever is under way.
    fn revoked(&self) -> impl Future<Output = ()> + Send;
}

/// As what a connection is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<P> {
    /// As a guest.
    Guest(P),
    /// As what could be a CA's, for the answers to challenges alone.
    ForChallenges(P),
}

/// What the door gave for a connection. Whoever outlives it, as a tunnel does, keeps this as long.
pub type Held = Arc<dyn Any + Send + Sync>;

/// What is answered.
pub trait App: Clone + Send + Sync + 'static {
    /// An answer's body.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Answers one request. There is no failing: whatever goes wrong has an answer. One that is
    /// `unfit` stands in place of bytes that are refused for this reason.
    fn answer(
        &self,
        request: Request<Incoming>,
        connection: Arc<Connection>,
        held: Held,
        unfit: Option<Reason>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What is spoken on a listener.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// TLS, then HTTP/2 or HTTP/1.1.
    Https(watch::Receiver<Arc<Handshakes>>),
    /// HTTP/1.1 in clear.
    Http,
}

/// A peer and its bytes.
#[derive(Debug)]
pub struct Entry<IO> {
    /// The bytes.
    pub io: IO,
    /// The socket's own peer.
    pub peer: SocketAddr,
}

/// Everything a listener needs to serve.
#[derive(Clone, Debug)]
pub struct Edge<D, A> {
    /// Who may come in.
    pub door: D,
    /// What is answered.
    pub app: A,
    /// What is spoken.
    pub protocol: Protocol,
    /// What is said of it.
    pub telemetry: Telemetry,
    /// How it is told of its end.
    pub leave: Leave,
    /// What shutdown waits for.
    pub tasks: TaskTracker,
}

/// What is said on a connection, until its end.
type Talk = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// How long to wait when the machine has no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);

impl<D: Door, A: App> Edge<D, A> {
    /// Takes connections until it is told to stop.
    pub async fn accept(self, listener: TcpListener) {
        let edge = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = edge.leave.retired() => return,
            };
            match accepted {
                Ok((io, peer)) => {
                    // Without it a small answer waits for the other side's delayed ACK.
                    if io.set_nodelay(true).is_ok() {
                        let reset = |io: &TcpStream| drop(io.set_zero_linger());
                        edge.tasks.spawn(Arc::clone(&edge).serve_or(Entry { io, peer }, reset));
                    }
                }
                Err(why) => {
                    tracing::warn!(error = %why, "accept");
                    sleep(BREATH).await;
                }
            }
        }
    }

    /// Serves one connection to its end.
    pub async fn serve<IO>(self, entry: Entry<IO>)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Arc::new(self).serve_or(entry, |_| {}).await;
    }

    /// The same. `reset` has what the client did not take thrown away with the connection.
    ///
    /// What is waited for at the beginning is boxed, and long gone while the connection idles.
    async fn serve_or<IO>(self: Arc<Self>, entry: Entry<IO>, reset: fn(&IO))
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Entry { mut io, peer } = entry;
        let mut peer = canonical(peer);
        if self.door.vouches(peer.ip()) {
            let patience = self.door.bounds(peer.ip()).handshake;
            match timeout(patience, proxy_protocol::read(&mut io)).await {
                Ok(Ok(source)) => {
                    peer = source.map_or(peer, canonical);
                }
                Ok(Err(_)) | Err(_) => return self.refuse("proxy_protocol"),
            }
        }
        let (pass, for_challenges) = match Box::pin(self.door.admit(peer.ip())).await {
            Ok(Admission::Guest(pass)) => (Arc::new(pass), false),
            Ok(Admission::ForChallenges(pass)) => (Arc::new(pass), true),
            Err(reason) => return self.refuse(reason),
        };
        let held: Held = Arc::clone(&pass) as _;
        let (bounds, fate) = (self.door.bounds(peer.ip()), Arc::<Fate>::default());
        let io = Paced::new(io, bounds.pace, Arc::clone(&fate), reset);
        let terms = (bounds, Arc::clone(&fate));
        let greeting = Box::pin(Arc::clone(&self).greet(io, peer, (held, for_challenges), terms));
        let spoken = async {
            // Not in the `match`, which would keep what greeted.
            let greeted = greeting.await;
            match greeted {
                Some((talk, _open)) => talk.await,
                None => Ok(()),
            }
        };
        let revoked = async {
            pass.revoked().await;
            fate.cut(Cut::Memory);
        };
        tokio::select! {
            biased;
            ended = spoken => if let Err(why) = ended {
                tracing::debug!(%peer, error = %why, "connection");
            },
            () = revoked => {}
        }
        if let Some(cut) = fate.was() {
            self.door.cut(peer.ip(), cut);
        }
    }

    /// Greets a client that has come in, and gives what is left to be done: to talk with it.
    async fn greet<IO>(
        self: Arc<Self>,
        io: IO,
        peer: SocketAddr,
        (held, for_challenges): (Held, bool),
        terms: wire::Terms,
    ) -> Option<(Talk, Open)>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (app, tasks, leave) = (self.app.clone(), self.tasks.clone(), self.leave.clone());
        match self.protocol.clone() {
            Protocol::Http => {
                let open = self.telemetry.metrics.open(ConnectionKind::Http);
                let connection = Arc::new(Connection { peer, tls: None, for_challenges });
                Some((Box::pin(wire::one(io, app, (connection, held), terms, leave)), open))
            }
            Protocol::Https(config) => {
                let open = self.telemetry.metrics.open(ConnectionKind::Https);
                let shaking = self.door.shake(peer.ip()).map_err(|it| self.refuse(it)).ok()?;
                let handshake = self.handshake(io, config, for_challenges, &terms);
                let (io, tls, h2) = handshake.await?;
                drop(shaking);
                let connection = Arc::new(Connection { peer, tls: Some(tls), for_challenges });
                let visit = (connection, held);
                let talk: Talk = if h2 {
                    Box::pin(wire::two(io, app, visit, terms, leave, tasks))
                } else {
                    Box::pin(wire::one(io, app, visit, terms, leave))
                };
                Some((talk, open))
            }
        }
    }

    async fn handshake<IO>(
        &self,
        io: IO,
        handshakes: watch::Receiver<Arc<Handshakes>>,
        for_challenges: bool,
        (bounds, fate): &wire::Terms,
    ) -> Option<(tokio_rustls::server::TlsStream<IO>, TlsInfo, bool)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshakes = Arc::clone(&handshakes.borrow());
        let config = Arc::clone(&handshakes.config);
        let handshake = async {
            if for_challenges {
                challenge(io, config).await
            } else {
                TlsAcceptor::from(config).accept(io).await
            }
        };
        let done: io::Result<_> = match timeout(bounds.handshake, handshake).await {
            Ok(done) => done,
            Err(late) => {
                fate.cut(Cut::HandshakeTimeout);
                Err(late.into())
            }
        };
        let stream = match done {
            Ok(stream) => stream,
            Err(why) => {
                self.telemetry.metrics.tls_handshakes_failed.inc();
                tracing::debug!(error = %why, "handshake");
                return None;
            }
        };
        let (_, session) = stream.get_ref();
        let version = version_name(session.protocol_version());
        let h2 = match session.alpn_protocol() {
            // The handshake was the answer (RFC 8737 3).
            Some(ACME_TLS) => return None,
            _ if for_challenges => return None,
            protocol => protocol == Some(b"h2"),
        };
        let client = handshakes.client(session);
        let tls = TlsInfo { sni: session.server_name().map(str::to_owned), version, client };
        Some((stream, tls, h2))
    }

    fn refuse(&self, reason: &'static str) {
        self.telemetry.metrics.connections_refused.with_label_values(&[reason]).inc();
    }
}
