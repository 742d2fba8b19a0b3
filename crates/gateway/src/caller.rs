//! Calling HTTP servers as a client: n8n on its own port, or whoever answers for the public name.
//! Everything that a server could make us wait for or keep is limited.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_proxy::{Backend, Connect, Tcp, exchange};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer: fifty workflows at once are some megabytes.
const LONGEST: usize = 64 << 20;

/// Somebody to call.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    /// Where to connect to.
    pub(crate) at: Backend,
    /// The `Host` field.
    pub(crate) host: String,
    /// How to be sure who it is; nothing to call in clear.
    pub(crate) tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

impl Callee {
    /// n8n itself.
    pub(crate) fn in_clear(host: &str, port: u16) -> Self {
        let at = Backend { host: host.to_owned(), port };
        Self { at, host: format!("{host}:{port}"), tls: None }
    }

    /// Sends `request`, and gives the whole answer.
    ///
    /// # Errors
    ///
    /// Why there is none, for a person.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Result<Answer, String> {
        let asked = timeout(PATIENCE, self.try_ask(request)).await;
        asked.map_err(|_| format!("{} does not answer in {} s", self.at, PATIENCE.as_secs()))?
    }

    /// The same for a GET.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, String> {
        let request = Request::get(path).body(Bytes::new());
        self.ask(request.map_err(|why| why.to_string())?).await
    }

    async fn try_ask(&self, mut request: Request<Bytes>) -> Result<Answer, String> {
        let host = self.host.parse().map_err(|_| format!("`{}` is no host", self.host))?;
        request.headers_mut().insert(header::HOST, host);
        let answer = exchange(self.connect().await?, request.map(Full::new), LONGEST).await;
        let answer = answer.map_err(|why| format!("{} breaks off: {why}", self.at))?;
        let (head, body) = answer.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn handshake(
        &self,
    ) -> Result<
        (
            http1::SendRequest<Full<Bytes>>,
            http1::Connection<TokioIo<Box<dyn Bytestream>>, Full<Bytes>>,
        ),
        String,
    > {
        let io = TokioIo::new(self.connect().await?);
        http1::handshake(io).await.map_err(|why| format!("{} breaks off: {why}", self.at))
    }

    async fn connect(&self) -> Result<Box<dyn Bytestream>, String> {
        let tcp = Tcp.connect(&self.at).await;
        let tcp = tcp.map_err(|why| format!("{}:{}: {why}", self.at.host, self.at.port))?;
        let Some((name, config)) = &self.tls else { return Ok(Box::new(tcp)) };
        let tls = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await;
        Ok(Box::new(tls.map_err(|why| why.to_string())?))
    }

    /// The status of a GET's answer, and when each part of its body came, from the request on.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) async fn arrivals(&self, path: &str) -> Result<(u16, Vec<Duration>), String> {
        /// How many parts are waited for.
        const PARTS: usize = 1000;
        let asked = async {
            let begun = Instant::now();
            let (mut sender, connection) = self.handshake().await?;
            let request = Request::get(path).header(header::HOST, &self.host);
            let request = request.body(Full::<Bytes>::default()).map_err(|why| why.to_string())?;
            let arriving = async {
                let answer = sender.send_request(request).await.map_err(|why| why.to_string())?;
                let (status, mut body) = (answer.status().as_u16(), answer.into_body());
                let mut moments = Vec::new();
                while let Some(Ok(part)) = body.frame().await {
                    if part.is_data() && moments.len() < PARTS {
                        moments.push(begun.elapsed());
                    }
                }
                Ok((status, moments))
            };
            let (mut arriving, mut connection) = (pin!(arriving), pin!(connection));
            tokio::select! {
                arrived = arriving.as_mut() => arrived,
                _ = connection.as_mut() => arriving.await,
            }
        };
        let asked = timeout(PATIENCE, asked).await;
        asked.map_err(|_| {
            format!("{} does not end its answer in {} s", self.at, PATIENCE.as_secs())
        })?
    }

    /// Asks for a WebSocket at `path` with these header lines, and gives all that comes until
    /// nothing comes for `quiet`, the answer's head included.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        lines: &str,
        quiet: Duration,
    ) -> Result<String, String> {
        /// A head and a frame or two.
        const ENOUGH: usize = 64 << 10;
        let mut io = timeout(PATIENCE, self.connect())
            .await
            .map_err(|_| format!("{} does not answer", self.at))??;
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n",
            self.host
        );
        io.write_all(asked.as_bytes()).await.map_err(|why| why.to_string())?;
        let mut got = Vec::new();
        let mut wait = PATIENCE;
        while got.len() < ENOUGH {
            match timeout(wait, io.read_buf(&mut got)).await {
                Ok(Ok(0)) | Err(_) => break,
                Ok(Ok(_)) => wait = quiet,
                Ok(Err(why)) if got.is_empty() => return Err(why.to_string()),
                Ok(Err(_)) => break,
            }
        }
        if got.is_empty() {
            return Err(format!("{} does not answer", self.at));
        }
        Ok(String::from_utf8_lossy(&got).into_owned())
    }
}
