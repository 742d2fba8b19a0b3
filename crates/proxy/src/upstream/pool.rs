//! Connections to n8n, kept while n8n keeps them.
//!
//! A request is sent a second time only if n8n cannot have seen a byte of it. That it is a GET, and
//! has no body, does not make it safe: a webhook by GET runs a workflow, which sends mails and moves
//! money, and n8n has nothing that tells one call of it from the same call made twice.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_telemetry::{ConnectionKind, Open, Telemetry};
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
    ext::on_informational,
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Connect, Upstream,
    circuit::Trouble,
    connect::is_ours,
    framing,
    shelf::{Connection, Shelf},
    upload::Upload,
    wire::{Signs, Wire},
};
use crate::{Failure, Fault};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may wait for one of the connections that a process may have.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest head of an answer: n8n's Content-Security-Policy and cookies are long.
const ANSWER_HEAD: usize = 256 * 1024;

/// What is said of a process that breaks off one exchange after the other.
const BREAKS_OFF: &str = "one exchange after the other breaks off";

/// Connections to n8n for requests with bodies of type `B`.
pub(crate) struct Pool<C, B> {
    connect: C,
    telemetry: Telemetry,
    shelf: Arc<Shelf<B>>,
    /// The connections' own tasks. They end when the pool is dropped, and nobody waits for them.
    tasks: TaskTracker,
}

/// A connection on loan. Given back when its exchange has ended; dropped, it is closed.
pub(crate) struct Lease(Box<dyn FnOnce(End) + Send + Sync>);

enum End {
    Whole,
    Broken,
}

impl Lease {
    /// Gives the connection back.
    pub(crate) fn give_back(self) -> Option<Self> {
        (self.0)(End::Whole);
        None
    }

    /// Ends it because n8n broke off its answer.
    pub(crate) fn broke(self) {
        (self.0)(End::Broken);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// What became of a request: an answer or a failure, or the request again if n8n cannot have seen
/// it.
type Asked<B> = Result<Result<(Response<Incoming>, Lease), Failure>, Request<Upload<B>>>;

impl<C, B> Pool<C, B>
where
    C: Connect,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    pub(crate) fn new(connect: C, telemetry: Telemetry) -> Self {
        Self { connect, telemetry, shelf: Arc::new(Shelf::new()), tasks: TaskTracker::new() }
    }

    /// Asks the first of `candidates` that takes the request. It is sent a second time only if the
    /// first cannot have been seen: no connection was made, or it had ended before a byte of the
    /// request was written.
    pub(crate) async fn send<'u>(
        &self,
        candidates: impl Iterator<Item = &'u Arc<Upstream>>,
        request: Request<B>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut request = request.map(Upload::new);
        let mut last = Failure::Faulty(Fault::Unreachable, "no process of n8n".into());
        for upstream in candidates {
            if !upstream.admits(&self.telemetry) {
                last = Failure::Faulty(Fault::Unreachable, "it was not there just now".into());
                continue;
            }
            while let Some(connection) = self.shelf.take(&upstream.backend) {
                match self.ask(connection, upstream, request).await {
                    Ok(answer) => return answer,
                    Err(unseen) => request = unseen,
                }
                self.telemetry.metrics.upstream_retries.inc();
            }
            let connection = match self.open(upstream).await {
                Ok(connection) => connection,
                Err((fault, why)) => {
                    last = Failure::Faulty(fault, why.into());
                    continue;
                }
            };
            match self.ask(connection, upstream, request).await {
                Ok(answer) => return answer,
                Err(unseen) => request = unseen,
            }
            let why = "closed before the request was sent";
            upstream.failed(Trouble::Broken, &why, &self.telemetry);
            last = Failure::Faulty(Fault::Broken, why.into());
        }
        Err(last)
    }

    async fn ask(
        &self,
        mut connection: Connection<B>,
        upstream: &Arc<Upstream>,
        mut request: Request<Upload<B>>,
    ) -> Asked<B> {
        let broken = |why: Box<dyn std::error::Error + Send + Sync>| {
            upstream.failed(Trouble::Broken, &BREAKS_OFF, &self.telemetry);
            Failure::Faulty(Fault::Broken, why)
        };
        let sent = request.body().sent();
        let (signs, seen) = (Arc::clone(&connection.signs), Arc::clone(&connection.signs));
        signs.expect();
        on_informational(&mut request, move |_| seen.interim());
        let answered = tokio::select! {
            biased;
            answered = connection.sender.try_send_request(request) => answered,
            why = signs.hopeless() => return Ok(Err(broken(why.into()))),
        };
        let response = match answered {
            Ok(response) => response,
            Err(mut why) => match TrySendError::take_message(&mut why) {
                Some(unseen) => return Err(unseen),
                None => match why.into_error() {
                    // The request's own body ended it, and n8n has done nothing wrong.
                    why if why.is_user() => {
                        return Ok(Err(Failure::Faulty(Fault::Broken, why.into())));
                    }
                    why => return Ok(Err(broken(why.into()))),
                },
            },
        };
        if let Some(flaw) = framing::flaw(&response) {
            return Ok(Err(broken(flaw.into())));
        }
        upstream.answered(response.status(), &self.telemetry);
        let (shelf, upstream) = (Arc::downgrade(&self.shelf), Arc::clone(upstream));
        let telemetry = self.telemetry.clone();
        let lease = Lease(Box::new(move |end| match end {
            End::Whole if sent.is_whole() => {
                upstream.completed(&telemetry);
                if let Some(shelf) = shelf.upgrade() {
                    shelf.keep(&upstream, connection);
                }
            }
            End::Whole => upstream.completed(&telemetry),
            End::Broken => {
                upstream.failed(Trouble::Broken, &BREAKS_OFF, &telemetry);
            }
        }));
        Ok(Ok((response, lease)))
    }

    async fn open(&self, upstream: &Upstream) -> Result<Connection<B>, (Fault, io::Error)> {
        let room = timeout(QUEUE_TIMEOUT, upstream.room()).await;
        let room = room.map_err(|late| (Fault::Busy, io::Error::from(late)))?;
        let connecting = timeout(CONNECT_TIMEOUT, self.connect.connect(&upstream.backend));
        let connected = connecting.await.unwrap_or_else(|late| Err(late.into()));
        let io = connected.map_err(|why| {
            if is_ours(&why) {
                return (Fault::Busy, why);
            }
            upstream.failed(Trouble::connecting(&why), &why, &self.telemetry);
            (Fault::Unreachable, why)
        })?;
        let signs = Arc::<Signs>::default();
        let mut builder = http1::Builder::new();
        builder.max_buf_size(ANSWER_HEAD);
        let io = TokioIo::new(Wire::new(io, Arc::clone(&signs)));
        let shaken = builder.handshake(io).await;
        let (sender, connection) =
            shaken.map_err(|why| (Fault::Unreachable, io::Error::other(why)))?;
        let open: Open = self.telemetry.metrics.open(ConnectionKind::Upstream);
        let close = CancellationToken::new();
        let closed = close.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // What has ended by itself, or has become a tunnel, is not cut off.
                biased;
                // How it ended, whoever waits for its answer is told.
                ended = connection.with_upgrades() => drop(ended),
                () = closed.cancelled() => {}
            }
            drop((open, room));
        });
        Ok(Connection { sender, signs, _close: close.drop_guard() })
    }
}

impl<C, B> fmt::Debug for Pool<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
