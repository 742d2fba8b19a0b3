//! What looks at the gateway: Prometheus, a dashboard, an OpenTelemetry collector, CrowdSec and
//! fail2ban, each with its own program and what the real gateway says.

mod alerts;
mod collector;
mod readers;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    process::Command,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, sync::DropGuard, task::TaskTracker};

use crate::processes::PATIENCE;

/// What is shipped for those who look.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability").join(path)
}

/// Runs a program to its end, and gives all that it says.
async fn run(command: &mut Command) -> (bool, String) {
    let done = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } =
        done.unwrap_or_else(|_| panic!("{command:?} does not end")).unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.success(), said)
}

/// A request that a server has seen: its head, and its whole body.
#[derive(Clone, Debug)]
struct Seen {
    head: http::request::Parts,
    body: Bytes,
}

/// A server on loopback. It goes with all its connections when it is dropped.
#[derive(Debug)]
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    _stop: DropGuard,
}

impl Server {
    /// Listens on `port`, or on any, over TLS or in clear, and gives each request this status.
    async fn start(
        port: u16,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Seen) -> u16 + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, tasks, seen) = (CancellationToken::new(), TaskTracker::new(), Arc::default());
        let (stopped, shared) = (stop.clone(), Arc::clone(&seen));
        tasks.clone().spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (tls, answer, seen) = (tls.clone(), answer.clone(), Arc::clone(&shared));
                let served = async move {
                    match tls {
                        Some(tls) => serve(tls.accept(io).await.ok()?, seen, answer).await,
                        None => serve(io, seen, answer).await,
                    }
                };
                tasks.spawn(stopped.clone().run_until_cancelled_owned(served));
            }
        }));
        Self { port, seen, _stop: stop.drop_guard() }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: impl Fn(&Seen) -> u16,
) -> Option<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        #[expect(clippy::disallowed_methods, reason = "limited on the same line")]
        let body = Limited::new(body, 16 << 20).collect().await.unwrap().to_bytes();
        let request = Seen { head, body };
        let status = answer(&request);
        seen.lock().unwrap().push(request);
        Response::builder().status(status).body(Full::<Bytes>::default())
    });
    http1::Builder::new().serve_connection(TokioIo::new(io), service).await.ok()
}
