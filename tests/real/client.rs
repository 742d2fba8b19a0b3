//! Clients of the gateway. Who a client is, is the address it calls from.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header, request::Builder};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;

use crate::processes::PATIENCE;

/// No answer of these tests is larger.
const LARGEST: usize = 64 << 20;

/// Somebody at an address, who may be signed in.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    from: IpAddr,
    host: &'static str,
    port: u16,
    cookie: Option<HeaderValue>,
    tls: ClientConfig,
    /// What drives the connections; a connection ends when nobody reads from it any more.
    connections: TaskTracker,
}

impl Client {
    /// A client at `from` who trusts the authority in the file `authority`, and no other.
    pub(crate) fn new(from: IpAddr, host: &'static str, port: u16, authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { from, host, port, cookie: None, tls, connections: TaskTracker::new() }
    }

    /// The same client, signed in.
    pub(crate) fn signed_in(&self, cookie: &str) -> Self {
        Self { cookie: Some(cookie.parse().unwrap()), ..self.clone() }
    }

    /// The port that it calls.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The host and port that a browser shows.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The origin of pages from the gateway.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// The session's cookie, if the client is signed in.
    pub(crate) fn cookie(&self) -> Option<&HeaderValue> {
        self.cookie.as_ref()
    }

    async fn try_dial(&self, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let tcp = self.socket()?.connect((Ipv4Addr::LOCALHOST, self.port).into()).await?;
        self.secure(tcp, protocol).await
    }

    /// A socket that is bound to where the client calls from.
    pub(crate) fn socket(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from, 0))?;
        Ok(socket)
    }

    /// Shakes hands on `io`.
    pub(crate) async fn secure<IO>(&self, io: IO, protocol: &[u8]) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(self.host).unwrap();
        TlsConnector::from(Arc::new(tls)).connect(name, io).await
    }

    /// Whether a connection ends before anything of TLS has come back.
    pub(crate) async fn is_dropped(&self) -> bool {
        let dialed = timeout(PATIENCE, self.try_dial(b"http/1.1")).await.expect("an end");
        let Err(why) = dialed else { return false };
        let ends = [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
        ];
        assert!(ends.contains(&why.kind()), "{why:?}");
        true
    }

    /// A connection that speaks `protocol`.
    pub(crate) async fn dial(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let stream = self.try_dial(protocol).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    }

    fn dress(&self, request: Builder, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = request.body(Full::new(body)).unwrap();
        if request.version() == Version::HTTP_11 {
            let host = self.authority().parse().unwrap();
            request.headers_mut().insert(header::HOST, host);
        } else {
            let url = format!("{}{}", self.origin(), request.uri());
            *request.uri_mut() = url.parse().unwrap();
        }
        if let Some(cookie) = self.cookie() {
            request.headers_mut().insert(header::COOKIE, cookie.clone());
        }
        request
    }

    /// Sends a request on a connection of its own and comes back with the head of the answer.
    /// The version of the request chooses the protocol.
    pub(crate) async fn begin(
        &self,
        request: Builder,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let request = self.dress(request, body.into());
        let what = format!("{} {}", request.method(), request.uri());
        let sent = async {
            if request.version() == Version::HTTP_2 {
                let io = TokioIo::new(self.dial(b"h2").await);
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.unwrap();
                self.connections.spawn(connection);
                sender.send_request(request).await
            } else {
                let io = TokioIo::new(self.dial(b"http/1.1").await);
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                self.connections.spawn(connection);
                sender.send_request(request).await
            }
        };
        let sent = timeout(PATIENCE, sent).await;
        let sent = sent.unwrap_or_else(|_| panic!("{what}: no answer"));
        sent.unwrap_or_else(|why| panic!("{what}: {why:?}"))
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Answer {
        Answer::read(self.begin(request, body).await).await
    }

    /// Sends JSON and reads the whole answer.
    pub(crate) async fn send_json(&self, request: Builder, body: &Value) -> Answer {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.send(request, body.to_string()).await
    }

    /// Sends the lines of a head, and no body whatever they promise, and comes back with the head
    /// of the answer.
    pub(crate) async fn send_head_only(&self, lines: &str) -> String {
        let mut stream = self.dial(b"http/1.1").await;
        let head = format!("{lines}\r\nHost: {}\r\n\r\n", self.authority());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, async {
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "an end, no answer");
            }
        });
        read.await.expect("an answer");
        String::from_utf8(answer).unwrap()
    }
}

/// What n8n itself answers on this machine, with no gateway in front.
pub(crate) async fn ask_n8n(port: u16, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let answer = async { Answer::read(sender.send_request(request).await.unwrap()).await };
    tokio::select! {
        answer = answer => answer,
        Err(why) = connection => panic!("{why}"),
    }
}

/// What an operator reads at `path` of the admin socket; nothing if nobody listens there.
pub(crate) async fn ask_operator(socket: &Path, path: &str) -> Option<Answer> {
    let stream = UnixStream::connect(socket).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path).header(header::HOST, "localhost");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let answer = async { Some(Answer::read(sender.send_request(request).await.ok()?).await) };
    tokio::select! {
        answer = answer => answer,
        Err(why) = connection => panic!("{why}"),
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
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await;
        let body = body.expect("an end of the answer").expect("a whole answer").to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    /// Asserts its status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()))
    }

    /// A header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie `name` that it gives, as a client sends it back.
    pub(crate) fn cookie(&self, name: &str) -> String {
        let given = self.headers.get_all(header::SET_COOKIE).iter();
        let mut given = given.filter_map(|it| it.to_str().unwrap().split(';').next());
        let cookie = given.find(|it| it.split('=').next() == Some(name));
        cookie.unwrap_or_else(|| panic!("{name} in {:?}", self.headers)).to_owned()
    }

    /// Asserts that nothing in it tells what stands behind the gateway.
    #[track_caller]
    pub(crate) fn tells_nothing_of_n8n(self) -> Self {
        let all = format!("{:?}\n{}", self.headers, self.text()).to_lowercase();
        assert!(!all.contains("n8n"), "{all}");
        self
    }
}
