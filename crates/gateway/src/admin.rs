//! The operator's own listener: metrics, health, status, reload.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use gateway_config::{Admin, Secret};
use gateway_proxy::Live;
use gateway_telemetry::{ReloadOutcome, Telemetry};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::control::Order;

/// What the listener answers from.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) telemetry: Telemetry,
    pub(crate) rules: Live,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) token: Option<Secret>,
    /// Whether it listens on loopback: then it is asked for by address, or as `localhost`.
    pub(crate) local: bool,
}

/// A socket of the operator's.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Opens the operator's socket. A Unix socket is for its owner and group; one that a dead process
/// left behind is replaced.
pub(crate) async fn open(admin: &Admin) -> io::Result<(Socket, String)> {
    match admin {
        Admin::Unix(path) => {
            let listener = unix(path).await?;
            Ok((Socket::Unix(listener), format!("unix:{}", path.display())))
        }
        Admin::Tcp(address, _) => {
            let listener = TcpListener::bind(address).await?;
            let address: SocketAddr = listener.local_addr()?;
            Ok((Socket::Tcp(listener), address.to_string()))
        }
    }
}

async fn unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if let Ok(there) = std::fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            let why = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        if tokio::net::UnixStream::connect(path).await.is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// How long to wait when the machine has no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Answers the operator until the process stops.
pub(crate) async fn serve(socket: Socket, desk: Desk, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&socket) => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(io) => {
                let (desk, stop) = (desk.clone(), stop.clone());
                tasks.spawn(async move {
                    let service = service_fn(move |request| {
                        let desk = desk.clone();
                        async move { Ok::<_, Infallible>(desk.answer(request).await) }
                    });
                    let mut builder = http1::Builder::new();
                    let serving = builder
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(io), service);
                    tokio::select! {
                        ended = serving => if let Err(why) = ended {
                            tracing::debug!(error = %why, "admin");
                        },
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(why) => {
                tracing::warn!(error = %why, "admin");
                sleep(BREATH).await;
            }
        }
    }
}

/// A connection's bytes, of either kind of socket.
trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

async fn accept(socket: &Socket) -> io::Result<Box<dyn Bytestream>> {
    match socket {
        Socket::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        Socket::Tcp(listener) => Ok(Box::new(listener.accept().await?.0)),
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        // A page in the operator's browser has no business here, token or not; nor has one whose
        // name was made to point at this machine.
        if request.headers().contains_key(header::ORIGIN) || (self.local && is_named(&request)) {
            return text(StatusCode::FORBIDDEN, "not for browsers\n");
        }
        if path == "/healthz" {
            return text(StatusCode::OK, "ok\n");
        }
        if !self.shows_token(&request) {
            let mut refused = text(StatusCode::UNAUTHORIZED, "a token is needed\n");
            let bearer = HeaderValue::from_static("Bearer");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
            return refused;
        }
        match (method, path) {
            (&Method::GET, "/readyz") if self.rules.borrow().upstreams.ready() => {
                text(StatusCode::OK, "ready\n")
            }
            (&Method::GET, "/readyz") => {
                text(StatusCode::SERVICE_UNAVAILABLE, "n8n is not ready\n")
            }
            (&Method::GET, "/metrics") => {
                let mut metrics = text(StatusCode::OK, self.telemetry.exposition());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                metrics.headers_mut().insert(header::CONTENT_TYPE, kind);
                metrics
            }
            (&Method::GET, "/status") => match self.ask(Order::Status).await {
                Some(status) => json(StatusCode::OK, &status),
                None => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            },
            (&Method::POST, "/reload") => match self.ask(Order::Reload).await {
                Some(outcome) => {
                    let status = match outcome.outcome {
                        ReloadOutcome::Applied | ReloadOutcome::Unchanged => StatusCode::OK,
                        ReloadOutcome::Invalid | ReloadOutcome::CertificateRejected => {
                            StatusCode::UNPROCESSABLE_ENTITY
                        }
                        ReloadOutcome::NeedsRestart => StatusCode::CONFLICT,
                    };
                    json(status, &outcome)
                }
                None => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            },
            (_, "/reload" | "/status" | "/metrics" | "/readyz") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n")
            }
            _ => text(StatusCode::NOT_FOUND, "metrics, healthz, readyz, status, reload\n"),
        }
    }

    /// Compared by their hashes, so that the time it takes tells nothing of the token.
    fn shows_token(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request.headers().get(header::AUTHORIZATION);
        let shown = shown.and_then(|it| it.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| Sha256::digest(shown) == Sha256::digest(token.expose()))
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Whether the request is for a name of somebody else's.
fn is_named(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| gateway_policy::Authority::parse(host).ok());
    host.is_none_or(|it| {
        it.host != "localhost" && !it.host.starts_with('[') && it.host.parse::<IpAddr>().is_err()
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let mut response = text(status, serde_json::to_vec(body).unwrap_or_default());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
