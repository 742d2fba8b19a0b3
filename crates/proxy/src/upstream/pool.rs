//! Connections to n8n, kept while n8n keeps them.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use gateway_telemetry::{ConnectionKind, Open, Telemetry};
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::{Backend, Connect, Upstream};
use crate::{Failure, Fault};

/// n8n closes an idle connection after 5 s (Node's `keepAliveTimeout`). One that is older than
/// this could be closing while a request travels to it.
const KEPT_FOR: Duration = Duration::from_secs(4);

/// How many idle connections are kept to one process.
const KEPT: usize = 256;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest head of an answer: n8n's Content-Security-Policy and cookies are long.
const ANSWER_HEAD: usize = 256 * 1024;

/// Connections to n8n for requests with bodies of type `B`.
pub(crate) struct Pool<C, B> {
    connect: C,
    telemetry: Telemetry,
    idle: Arc<Idle<B>>,
    /// The connections' own tasks. They end when the pool is dropped, and nobody waits for them.
    tasks: TaskTracker,
}

type Idle<B> = Mutex<HashMap<Backend, Vec<(http1::SendRequest<B>, Instant)>>>;

/// A connection on loan. Given back when its exchange has ended; dropped, it is closed.
pub(crate) struct Lease(Box<dyn FnOnce() + Send + Sync>);

impl Lease {
    /// Gives the connection back.
    pub(crate) fn give_back(self) -> Option<Self> {
        (self.0)();
        None
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl<C, B> Pool<C, B>
where
    C: Connect,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    pub(crate) fn new(connect: C, telemetry: Telemetry) -> Self {
        Self { connect, telemetry, idle: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Asks the first of `candidates` that takes the request. It is sent a second time only if the
    /// first cannot have been seen: no connection was made, or it had ended before a byte of the
    /// request was written.
    pub(crate) async fn send<'u>(
        &self,
        candidates: impl Iterator<Item = &'u Arc<Upstream>>,
        mut request: Request<B>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut last = Failure::Faulty(Fault::Unreachable, "no process of n8n".into());
        for upstream in candidates {
            while let Some(sender) = self.take(&upstream.backend) {
                match self.try_send(sender, upstream, request).await {
                    Ok(answer) => return answer,
                    Err(unseen) => request = unseen,
                }
                self.telemetry.metrics.upstream_retries.inc();
            }
            let sender = match self.open(&upstream.backend).await {
                Ok(sender) => sender,
                Err(why) => {
                    upstream.note(Some(&why), &self.telemetry, false);
                    last = Failure::Faulty(Fault::Unreachable, why.into());
                    continue;
                }
            };
            match self.try_send(sender, upstream, request).await {
                Ok(answer) => return answer,
                Err(unseen) => request = unseen,
            }
            last = Failure::Faulty(Fault::Broken, "closed before the request was sent".into());
        }
        Err(last)
    }

    /// An answer or a failure, or the request again if n8n cannot have seen it.
    async fn try_send(
        &self,
        mut sender: http1::SendRequest<B>,
        upstream: &Upstream,
        request: Request<B>,
    ) -> Result<Result<(Response<Incoming>, Lease), Failure>, Request<B>> {
        match sender.try_send_request(request).await {
            Ok(response) => {
                if !response.status().is_server_error() {
                    upstream.heard();
                }
                Ok(Ok((response, self.lease(sender, &upstream.backend))))
            }
            Err(mut why) => match TrySendError::take_message(&mut why) {
                Some(unseen) => Err(unseen),
                None => Ok(Err(Failure::Faulty(Fault::Broken, why.into_error().into()))),
            },
        }
    }

    fn take(&self, backend: &Backend) -> Option<http1::SendRequest<B>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(backend)?;
        kept.retain(is_fresh);
        let ready = kept.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(kept.swap_remove(ready).0)
    }

    fn lease(&self, sender: http1::SendRequest<B>, backend: &Backend) -> Lease {
        let (idle, backend) = (Arc::downgrade(&self.idle), backend.clone());
        Lease(Box::new(move || keep(&idle, backend, sender)))
    }

    async fn open(&self, backend: &Backend) -> io::Result<http1::SendRequest<B>> {
        let io = timeout(CONNECT_TIMEOUT, self.connect.connect(backend)).await??;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(ANSWER_HEAD);
        let (sender, connection) =
            builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        let open: Open = self.telemetry.metrics.open(ConnectionKind::Upstream);
        self.tasks.spawn(async move {
            // How it ended, whoever waits for its answer is told.
            drop(connection.with_upgrades().await);
            drop(open);
        });
        Ok(sender)
    }
}

fn is_fresh<B>((sender, since): &(http1::SendRequest<B>, Instant)) -> bool {
    !sender.is_closed() && since.elapsed() < KEPT_FOR
}

fn keep<B>(idle: &Weak<Idle<B>>, backend: Backend, sender: http1::SendRequest<B>) {
    let Some(idle) = idle.upgrade() else { return };
    if sender.is_closed() {
        return;
    }
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that a reload took away are asked no more: nobody else would sweep theirs.
    idle.retain(|_, kept| {
        kept.retain(is_fresh);
        !kept.is_empty()
    });
    let kept = idle.entry(backend).or_default();
    if kept.len() < KEPT {
        kept.push((sender, Instant::now()));
    }
}

impl<C, B> fmt::Debug for Pool<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
