//! One connection of HTTP, until it ends or is asked to.

mod two;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use gateway_policy::{Connection, Reason};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

pub(crate) use self::two::two;
use crate::{
    App, Bounds, Leave,
    accept::Held,
    fate::Fate,
    strict::{Flaw, Flow, Loan, Strict},
};

/// How long a connection may take to be given back.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many fields hyper reads in a head unless it is told otherwise.
const HYPERS_FIELDS: usize = 100;

/// A connection, and what the door gave for it.
type Visit = (Arc<Connection>, Held);

/// What a connection is held to, and why it ends.
pub(crate) type Terms = (Bounds, Arc<Fate>);

/// Speaks HTTP/1.1 until the connection ends. When the listener leaves, the request under way is
/// still answered, or the next one where there is time for one.
///
/// What it serves with is boxed at once, here and in [`two`]: an `async` function would keep what it
/// was given as well, for as long as the connection idles.
pub(crate) fn one<A: App>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: A,
    visit: Visit,
    (bounds, fate): Terms,
    leave: Leave,
) -> impl Future<Output = hyper::Result<()>> + Send {
    let mut builder = http1::Builder::new();
    // What a head may be and how long it may take is looked after below hyper.
    builder.header_read_timeout(None).max_buf_size(bounds.size.bytes).half_close(false);
    // With its own number hyper has them on its stack, with any other it clears memory for each head.
    if bounds.size.fields != HYPERS_FIELDS {
        builder.max_headers(bounds.size.fields);
    }
    let flow = Arc::new(Flow::default());
    let mut strict = Box::new(Strict::new(io, Arc::clone(&flow), &bounds, fate));
    let left = Arc::<Mutex<Option<OnUpgrade>>>::default();
    async move {
        loop {
            let loan = Loan::default();
            let io = TokioIo::new(loan.lend(strict));
            let (app, visit) = (app.clone(), visit.clone());
            let service = service(app, visit, Arc::clone(&flow), Arc::clone(&left), leave.clone());
            let mut serving = Box::pin(builder.serve_connection(io, service).with_upgrades());
            let ended = tokio::select! {
                ended = serving.as_mut() => ended,
                () = leave.end().cancelled() => {
                    serving.as_mut().graceful_shutdown();
                    serving.as_mut().await
                }
            };
            drop(serving);
            let refused = left.lock().unwrap_or_else(PoisonError::into_inner).take();
            // hyper gives a connection back on which an upgrade was ever asked for, refused or not,
            // and has not closed it then.
            if let Some(refused) = refused
                && let Ok(Ok(io)) = timeout(FAREWELL, refused).await
            {
                // Whoever is gone does not hear it.
                drop(TokioIo::new(io).shutdown().await);
            }
            let Some(mut rested) = loan.back() else { return ended };
            let more = tokio::select! {
                more = rested.awake() => more.is_ok_and(|more| more),
                () = leave.end().cancelled() => false,
            };
            if !more {
                // Whoever does not take what is left is not waited for.
                drop(timeout(FAREWELL, rested.shutdown()).await);
                return Ok(());
            }
            strict = rested;
        }
    }
}

/// What hyper asks for each request of one connection.
fn service<A: App>(
    app: A,
    visit: Visit,
    flow: Arc<Flow>,
    left: Arc<Mutex<Option<OnUpgrade>>>,
    leave: Leave,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Ending<A::Body>>,
    Error = Infallible,
    Future: Send,
>
where
    <A::Body as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    service_fn(move |request: Request<Incoming>| {
        let unfit = flow.asked().map(Flaw::reason);
        let upgrade = request.extensions().get::<OnUpgrade>().cloned();
        let answer = answer(app.clone(), visit.clone(), request, unfit);
        let (flow, left, leave) = (Arc::clone(&flow), Arc::clone(&left), leave.clone());
        async move {
            let answer = answer.await;
            answer.map(|mut response| {
                if leave.is_retired() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                flow.answered(response.status());
                if upgrade.is_some() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    *left.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
                }
                response.map(|body| Ending { body, end: End(flow) })
            })
        }
    })
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
