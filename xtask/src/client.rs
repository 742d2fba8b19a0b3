//! Clients of the gateway. Who a client is, is the address it calls from.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;

/// The host that the gateway serves.
pub(crate) const HOST: &str = "gateway.test";

/// No answer is larger.
const LARGEST: usize = 64 << 20;

/// A connection's bytes.
pub(crate) type Wire = TlsStream<TcpStream>;

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Version {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Two];

    /// As it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One => "HTTP/1",
            Self::Two => "HTTP/2",
        }
    }
}

/// The way to the gateway.
pub(crate) struct Network {
    /// The port of HTTPS.
    pub(crate) port: u16,
    /// The port of HTTP in clear.
    pub(crate) clear: u16,
    tls: ClientConfig,
    /// What drives the connections; a connection ends when nobody asks on it any more.
    connections: TaskTracker,
}

impl Network {
    pub(crate) fn new(
        port: u16,
        clear: u16,
        authorities: &[CertificateDer<'static>],
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { port, clear, tls, connections: TaskTracker::new() })
    }

    /// The same, with a whole handshake for each connection.
    pub(crate) fn without_resumption(mut self) -> Self {
        self.tls.resumption = Resumption::disabled();
        self
    }

    /// What a browser shows.
    pub(crate) fn authority(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// The origin of the gateway's pages.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// How to shake hands, and with whom.
    pub(crate) fn tls(
        &self,
        version: Version,
    ) -> anyhow::Result<(ClientConfig, ServerName<'static>)> {
        let mut tls = self.tls.clone();
        let protocol = if version == Version::Two { "h2" } else { "http/1.1" };
        tls.alpn_protocols = vec![protocol.into()];
        Ok((tls, ServerName::try_from(HOST)?))
    }

    /// A connection before anything is said on it.
    pub(crate) async fn dial(&self, from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// A connection over TLS.
    pub(crate) async fn secure(&self, from: Ipv4Addr, version: Version) -> anyhow::Result<Wire> {
        let tcp = self.dial(from, self.port).await.context("no connection")?;
        let (tls, name) = self.tls(version)?;
        TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.context("no handshake")
    }

    async fn connect(&self, from: Ipv4Addr, version: Version) -> anyhow::Result<Connection> {
        let io = TokioIo::new(self.secure(from, version).await?);
        Ok(match version {
            Version::One => {
                let (sender, connection) = http1::handshake(io).await?;
                self.connections.spawn(connection);
                Connection::One(sender)
            }
            Version::Two => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                self.connections.spawn(connection);
                Connection::Two(sender)
            }
        })
    }
}

enum Connection {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The content type, if there is a body.
    kind: Option<&'static str>,
    /// Fields besides.
    fields: Vec<(&'static str, &'static str)>,
    body: Bytes,
}

impl Question {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let (path, fields) = (path.into(), Vec::new());
        Self { method: Method::GET, path, kind: None, fields, body: Bytes::new() }
    }

    pub(crate) fn post(
        path: impl Into<String>,
        kind: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let (path, fields) = (path.into(), Vec::new());
        Self { method: Method::POST, path, kind: Some(kind), fields, body: body.into() }
    }

    pub(crate) fn json(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self::post(path, "application/json", body.to_string())
    }

    /// The same, with these fields besides.
    pub(crate) fn with(self, fields: &[(&'static str, &'static str)]) -> Self {
        Self { fields: fields.to_vec(), ..self }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Fails unless it has this status.
    pub(crate) fn is(self, status: u16) -> anyhow::Result<Self> {
        if self.status != status {
            let text: String = String::from_utf8_lossy(&self.body).chars().take(120).collect();
            bail!("{} instead of {status}: {}", self.status, text.replace('\n', " "));
        }
        Ok(self)
    }

    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// Somebody at an address.
pub(crate) struct Client {
    pub(crate) network: Arc<Network>,
    pub(crate) from: Ipv4Addr,
    version: Version,
    /// Whether a connection is kept for the next request.
    keeps: bool,
    kept: RefCell<Option<Connection>>,
    cookie: Option<String>,
}

impl Client {
    pub(crate) fn new(network: &Arc<Network>, from: Ipv4Addr, version: Version) -> Self {
        let network = Arc::clone(network);
        Self { network, from, version, keeps: false, kept: RefCell::default(), cookie: None }
    }

    /// The same, on a connection that is kept.
    pub(crate) fn keeping(self) -> Self {
        Self { keeps: true, ..self }
    }

    /// The same, with a session.
    pub(crate) fn signed_in(self, cookie: &str) -> Self {
        Self { cookie: Some(cookie.to_owned()), ..self }
    }

    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn ask(&self, question: &Question) -> anyhow::Result<Answer> {
        let kept = self.kept.borrow_mut().take();
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.network.connect(self.from, self.version).await?,
        };
        let answer = read(self.begin_on(&mut connection, question).await?).await?;
        if self.keeps {
            self.kept.replace(Some(connection));
        }
        Ok(answer)
    }

    /// Asks on a connection of its own and gives the head of the answer; the connection lives as
    /// long as the answer is read.
    pub(crate) async fn begin(
        &self,
        question: &Question,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let mut connection = self.network.connect(self.from, self.version).await?;
        self.begin_on(&mut connection, question).await
    }

    async fn begin_on(
        &self,
        connection: &mut Connection,
        question: &Question,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let Question { method, path, kind, fields, body } = question.clone();
        let mut request = Request::builder().method(method);
        request = match connection {
            Connection::One(_) => request.uri(path).header(header::HOST, self.network.authority()),
            Connection::Two(_) => request.uri(format!("{}{path}", self.network.origin())),
        };
        for (name, value) in [(header::CONTENT_TYPE, kind), (header::COOKIE, self.cookie())] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body))?;
        let sent = match connection {
            Connection::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Connection::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        };
        sent.context("no answer")
    }
}

async fn read(answer: http::Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, mut body) = answer.into_parts();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.context("a broken answer")?.data_ref() {
            whole.extend_from_slice(data);
        }
        if whole.len() > LARGEST {
            bail!("an answer without an end");
        }
    }
    Ok(Answer { status: head.status, headers: head.headers, body: whole.into() })
}
