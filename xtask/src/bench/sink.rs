//! Where uploads end: it reads them to their end, and counts what has come.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::spawn_local};
use tokio_util::task::AbortOnDropHandle;

/// A server of HTTP/1 that takes whatever comes; it ends when it is dropped.
pub(super) struct Sink {
    pub(super) port: u16,
    received: Arc<AtomicU64>,
    _server: AbortOnDropHandle<()>,
}

impl Sink {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let received = Arc::<AtomicU64>::default();
        let server = spawn_local(serve(listener, Arc::clone(&received)));
        Ok(Self { port, received, _server: AbortOnDropHandle::new(server) })
    }

    /// How many bytes of bodies have come so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, received: Arc<AtomicU64>) {
    while let Ok((io, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        let service = service_fn(move |request| swallow(request, Arc::clone(&received)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
        // What breaks off is missing in the count.
        spawn_local(async move { drop(connection.await) });
    }
}

async fn swallow(
    request: Request<Incoming>,
    received: Arc<AtomicU64>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"taken"))))
}
