//! One connection of HTTP, until it ends or is asked to.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use gateway_policy::{Connection, Reason};
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    rt::{Executor, Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    App, Bounds,
    accept::Held,
    fate::Fate,
    strict::{Flaw, Flow, Strict},
};

/// How long a connection may take to be given back.
const FAREWELL: Duration = Duration::from_secs(1);

/// What one HTTP/2 connection may have open, hold back and ask for.
const H2_STREAMS: u32 = 100;
const H2_RESETS: usize = 20;
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
const H2_SEND_BUFFER: usize = 256 * 1024;
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// A connection, and what the door gave for it.
type Visit = (Arc<Connection>, Held);

/// What a connection is held to, and why it ends.
pub(crate) type Terms = (Bounds, Arc<Fate>);

/// Runs what HTTP/2 starts where shutdown can wait for it.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Speaks HTTP/1.1 until the connection ends. When `stop` is cancelled, the request under way is
/// still answered.
pub(crate) async fn one<A: App>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: A,
    visit: Visit,
    (bounds, fate): Terms,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let mut builder = http1::Builder::new();
    // What a head may be and how long it may take is looked after below hyper.
    builder
        .header_read_timeout(None)
        .max_headers(bounds.size.fields)
        .max_buf_size(bounds.size.bytes)
        .half_close(false);
    let flow = Arc::new(Flow::default());
    let io = TokioIo::new(Strict::new(io, Arc::clone(&flow), &bounds, fate));
    let left = Arc::<Mutex<Option<OnUpgrade>>>::default();
    let leaves = Arc::clone(&left);
    let service = service_fn(move |request: Request<Incoming>| {
        let unfit = flow.asked().map(Flaw::reason);
        let upgrade = request.extensions().get::<OnUpgrade>().cloned();
        let answer = answer(app.clone(), visit.clone(), request, unfit);
        let (flow, leaves) = (Arc::clone(&flow), Arc::clone(&leaves));
        async move {
            let answer = answer.await;
            answer.map(|response| {
                flow.answered(response.status());
                if upgrade.is_some() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    *leaves.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
                }
                response.map(|body| Ending { body, end: End(flow) })
            })
        }
    });
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    let refused = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    // hyper gives a connection back on which an upgrade was ever asked for, refused or not, and has
    // not closed it then.
    if let Some(refused) = refused
        && let Ok(Ok(io)) = timeout(FAREWELL, refused).await
    {
        // Whoever is gone does not hear it.
        drop(TokioIo::new(io).shutdown().await);
    }
    ended
}

/// Speaks HTTP/2 until the connection ends. When `stop` is cancelled, the streams that are open
/// are still answered.
pub(crate) async fn two<A: App>(
    io: impl Read + Write + Unpin + Send + 'static,
    app: A,
    visit: Visit,
    (bounds, _fate): Terms,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> hyper::Result<()> {
    let mut builder = http2::Builder::new(Tracked(tasks));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_pending_accept_reset_streams(H2_RESETS)
        .max_local_error_reset_streams(H2_RESETS)
        .max_header_list_size(bounds.size.bytes.try_into().unwrap_or(u32::MAX))
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_EVERY);
    let last = CancellationToken::new();
    let ends = last.clone();
    let service = service_fn(move |request| {
        let (answer, last) = (answer(app.clone(), visit.clone(), request, None), last.clone());
        async move { answer.await.map(|response| unless_last(response, &last)) }
    });
    let mut serving = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = serving.as_mut() => ended,
        () = async { tokio::select! { () = stop.cancelled() => {}, () = ends.cancelled() => {} } } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}

pin_project! {
    /// An answer's body, whose end is told.
    struct Ending<B> {
        #[pin]
        body: B,
        end: End,
    }
}

/// Tells of an answer's end, however it comes.
struct End(Arc<Flow>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl<B: Body> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// HTTP/2 has no field that ends a connection: an answer that wants its end gets it by GOAWAY.
fn unless_last<B>(mut response: Response<B>, last: &CancellationToken) -> Response<B> {
    if response.headers_mut().remove(header::CONNECTION).is_some_and(|it| it == "close") {
        last.cancel();
    }
    response
}

/// One request. Boxed, so that a connection that waits for its next request holds nothing of the
/// last one's.
fn answer<A: App>(
    app: A,
    (connection, held): Visit,
    request: Request<Incoming>,
    unfit: Option<Reason>,
) -> Pin<Box<dyn Future<Output = Result<Response<A::Body>, Infallible>> + Send>>
where
    <A::Body as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Box::pin(async move { Ok(app.answer(request, connection, held, unfit).await) })
}
