//! One connection of HTTP/2.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Terms, Visit, answer};
use crate::{
    App, Leave,
    frames::{Frames, Left, flaw, list_size},
    strict::Flaw,
};

/// What may be open at once.
const STREAMS: u32 = 100;

/// How much a client may send before it is read: enough for 10 MB a second from 100 ms away. What is
/// not read stays here, so the connection's window is what a client can fill whose bodies n8n does
/// not read, and with [`SEND_BUFFER`] the most that one connection holds: 1 MiB of bodies, a head
/// and 64 KiB of an answer for each of its streams. Few have more than one that waits, and none for
/// longer than the patience with it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How much of an answer is taken from n8n before its client takes it: four frames.
const SEND_BUFFER: usize = 64 * 1024;

/// Whether a client is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// hyper's own limit of streams that are reset before they are looked at, of which a browser may
/// cancel many at once. Ours (`frames/limit.rs`) is reached before. Its limit of streams that it has
/// reset itself counts for a connection's whole life, however long that is, and is off: ours is not.
const RESETS: usize = 200;

/// Runs what HTTP/2 starts where shutdown can wait for it.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Speaks HTTP/2 until the connection ends. When the listener leaves, the streams that are open
/// are still answered.
pub(crate) fn two<A: App>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: A,
    visit: Visit,
    (bounds, fate): Terms,
    leave: Leave,
    tasks: TaskTracker,
) -> impl Future<Output = hyper::Result<()>> + Send {
    let mut builder = http2::Builder::new(Tracked(tasks));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(None)
        .max_header_list_size(list_size(&bounds))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let (last, left) = (CancellationToken::new(), Left::default());
    let io = Frames::new(io, bounds, Arc::clone(&fate), left.clone(), last.clone());
    let ends = last.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let unfit = flaw(&request, &bounds.size).map(Flaw::reason);
        let (answer, last) = (answer(app.clone(), visit.clone(), request, unfit), last.clone());
        async move { answer.await.map(|response| detached(unless_last(response, &last))) }
    });
    let mut serving = Box::pin(builder.serve_connection(TokioIo::new(io), service));
    async move {
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = async { tokio::select! { () = leave.retired() => {}, () = ends.cancelled() => {} } } => {
                serving.as_mut().graceful_shutdown();
                serving.as_mut().await
            }
        };
        drop(serving);
        // Boxed: few connections are cut.
        Box::pin(left.farewell()).await;
        ended
    }
}

/// HTTP/2 has no field that ends a connection: an answer that wants its end gets it by GOAWAY.
fn unless_last<B>(mut response: Response<B>, last: &CancellationToken) -> Response<B> {
    if response.headers_mut().remove(header::CONNECTION).is_some_and(|it| it == "close") {
        last.cancel();
    }
    response
}

/// The same with fields of its own. n8n's are parts of the buffer that its answer was read into, and
/// HTTP/2 keeps fields in its table for as long as the connection lives: each would keep a buffer.
fn detached<B>(mut response: Response<B>) -> Response<B> {
    for value in response.headers_mut().values_mut() {
        let own = HeaderValue::from_bytes(value.as_bytes());
        if let Ok(own) = own
            && !value.is_sensitive()
        {
            *value = own;
        }
    }
    response
}
