//! Bodies on their way: limited, timed, counted. No trailers pass, in either direction: n8n reads
//! none, and other readers have been confused by them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use gateway_policy::{Pace, Patience, Reason, Slow};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    Exchange, Fault,
    layers::{
        budget::{is_dry, would_refuse},
        inspect::attack::Watch,
    },
    upstream::Lease,
};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The client's bytes were cut off by a rule.
    #[error("cut off: {}", .0.name())]
    Refused(Reason),
    /// n8n said nothing for too long.
    #[error("silent for too long")]
    Silent,
    /// The other side broke off.
    #[error("broken off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Ends a body that is silent for too long. The clock runs only while somebody waits.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    fn heard(&mut self) {
        self.sleep = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.sleep
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)))
            .as_mut()
            .poll(cx)
    }
}

pin_project! {
    /// A client's body on its way to n8n.
    #[derive(Debug)]
    pub struct Guarded<B> {
        #[pin]
        body: B,
        // What was read of it already, and comes first.
        ahead: Option<Bytes>,
        left: u64,
        wait: Wait,
        watch: Option<Watch>,
        exchange: Arc<Exchange>,
    }
}

impl<B> Guarded<B> {
    pub(crate) fn new(body: B, limit: u64, pace: Pace, exchange: Arc<Exchange>) -> Self {
        let (ahead, watch) = (None, None);
        Self { body, ahead, left: limit, wait: Wait::new(pace), watch, exchange }
    }

    /// Gives back what was read of it: it comes first.
    pub(crate) fn give_back(&mut self, read: Bytes) {
        self.ahead = Some(read).filter(|it| !it.is_empty());
    }

    /// The same, looked through as it passes.
    pub(crate) fn watched(self, watch: Option<Watch>) -> Self {
        Self { watch, ..self }
    }
}

/// Waits for a client's bytes, with patience. The clock runs only while somebody wants them: a
/// client is not slow while n8n is.
#[derive(Debug)]
struct Wait {
    patience: Patience,
    since: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Wait {
    fn new(pace: Pace) -> Self {
        Self { patience: Patience::new(pace), since: None }
    }

    fn moved(&mut self, bytes: usize) {
        if let Some((since, _)) = self.since.take() {
            self.patience.waited(since.elapsed());
        }
        self.patience.moved(bytes);
    }

    /// Waits until there is no patience left.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Slow> {
        let left = self.patience.left();
        let (since, until) = self.since.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        ready!(until.as_mut().poll(cx));
        Poll::Ready(self.patience.verdict(since.elapsed()))
    }
}

impl<B> Body for Guarded<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut this = self.project();
        if let Some(ahead) = this.ahead.take() {
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        let cut = |reason| {
            this.exchange.cut(reason);
            Poll::Ready(Some(Err(Cut::Refused(reason))))
        };
        loop {
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                return cut(match ready!(this.wait.poll(cx)) {
                    Slow::Stalled => Reason::BodyStalled,
                    Slow::Dripping => Reason::BodyTooSlow,
                });
            };
            let data = match frame.transpose() {
                Ok(Some(frame)) => frame.into_data(),
                Ok(None) => return Poll::Ready(None),
                Err(_) => return cut(Reason::BodyMalformed),
            };
            let Ok(data) = data else { continue };
            this.wait.moved(data.len());
            let length = data.len().try_into().unwrap_or(u64::MAX);
            *this.left = match this.left.checked_sub(length) {
                Some(left) => left,
                None if is_dry(&this.exchange.rules) => {
                    would_refuse(this.exchange, Reason::BodyTooLarge, None);
                    // It is told once.
                    u64::MAX
                }
                None => return cut(Reason::BodyTooLarge),
            };
            this.exchange.receive(data.len());
            if let Some(watch) = this.watch
                && let Err(reason) = watch.see(&data, this.exchange)
            {
                return cut(reason);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.ahead.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let Some(ahead) = &self.ahead else { return rest };
        let ahead = ahead.len().try_into().unwrap_or(u64::MAX);
        let mut all = SizeHint::new();
        all.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            all.set_upper(upper.saturating_add(ahead));
        }
        all
    }
}

/// Reads the beginning of a body as it passes, and tells what it has read: when the body's last
/// bytes are about to pass, or when nobody wants any more of it.
pub(crate) struct Tap {
    seen: Vec<u8>,
    tell: Option<Box<dyn FnOnce(&[u8]) + Send>>,
}

impl Tap {
    /// More than n8n's longest message.
    const MOST: usize = 4096;

    pub(crate) fn new(tell: impl FnOnce(&[u8]) + Send + 'static) -> Self {
        Self { seen: Vec::new(), tell: Some(Box::new(tell)) }
    }

    fn see(&mut self, data: &[u8], last: bool) {
        let room = Self::MOST.saturating_sub(self.seen.len());
        self.seen.extend(data.iter().take(room));
        if last {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(&self.seen);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.tell();
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap")
    }
}

pin_project! {
    /// An answer's body on its way to the client.
    #[derive(Debug)]
    pub struct Answer {
        #[pin]
        source: Source,
        // What was read of it already, and comes first.
        ahead: Option<Bytes>,
        // Whether it is only looked at, and not yet sent.
        looked_at: bool,
        tap: Option<Tap>,
        silence: Silence,
        exchange: Arc<Exchange>,
    }
}

pin_project! {
    #[project = SourceProjection]
    #[derive(Debug)]
    enum Source {
        Own { #[pin] body: Full<Bytes> },
        N8n { #[pin] body: Incoming, lease: Option<Lease> },
    }
}

/// An answer's body, as far as it was read.
#[derive(Debug)]
pub(crate) enum Whole {
    /// To its end.
    Read(Bytes),
    /// There is more, and what was read comes first.
    More(Answer),
}

impl Answer {
    /// A body of the gateway's own.
    pub(crate) fn own(bytes: impl Into<Bytes>, exchange: &Arc<Exchange>) -> Self {
        let source = Source::Own { body: Full::new(bytes.into()) };
        let (tap, silence) = (None, Silence::new(Duration::MAX));
        let (ahead, looked_at) = (None, false);
        Self { source, ahead, looked_at, tap, silence, exchange: Arc::clone(exchange) }
    }

    /// n8n's body. When it has ended, its connection goes back to where `lease` has it from.
    pub(crate) fn n8n(body: Incoming, lease: Option<Lease>, exchange: &Arc<Exchange>) -> Self {
        let ended = body.is_end_stream();
        let lease = lease.and_then(|lease| if ended { lease.give_back() } else { Some(lease) });
        let silence = Silence::new(exchange.rules.timeouts.stream);
        let (source, tap) = (Source::N8n { body, lease }, None);
        let (ahead, looked_at) = (None, false);
        Self { source, ahead, looked_at, tap, silence, exchange: Arc::clone(exchange) }
    }

    /// Reads the body to its end if that comes within `limit` bytes; else what was read will come
    /// first.
    ///
    /// # Errors
    ///
    /// Why there is no end.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Whole, Cut> {
        let mut read = Vec::new();
        self.looked_at = true;
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            read.extend_from_slice(&data);
            if read.len() > limit {
                self.looked_at = false;
                self.ahead = Some(Bytes::from(read));
                return Ok(Whole::More(self));
            }
        }
        Ok(Whole::Read(Bytes::from(read)))
    }

    /// The same, read by `tap` as it passes.
    pub(crate) fn tapped(mut self, mut tap: Tap) -> Self {
        if self.is_end_stream() {
            tap.tell();
        }
        self.tap = Some(tap);
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.project();
        if let Some(ahead) = this.ahead.take() {
            this.exchange.send(ahead.len());
            if let Some(tap) = this.tap {
                tap.see(&ahead, false);
            }
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        let (mut body, lease) = match this.source.project() {
            SourceProjection::Own { body } => {
                let frame = ready!(body.poll_frame(cx));
                let data = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref());
                this.exchange.send(data.map_or(0, Bytes::len));
                if let (Some(tap), Some(data)) = (this.tap, data) {
                    tap.see(data, true);
                }
                return Poll::Ready(frame.map(|it| it.map_err(|never| match never {})));
            }
            SourceProjection::N8n { body, lease } => (body, lease),
        };
        loop {
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                ready!(this.silence.poll(cx));
                drop(lease.take());
                this.exchange.faulted(Fault::Timeout, &Cut::Silent);
                return Poll::Ready(Some(Err(Cut::Silent)));
            };
            this.silence.heard();
            match frame.transpose() {
                Ok(Some(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if !*this.looked_at {
                        this.exchange.send(data.len());
                    }
                    let last = body.is_end_stream();
                    if let Some(tap) = this.tap {
                        tap.see(&data, last);
                    }
                    if last {
                        *lease = lease.take().and_then(Lease::give_back);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(None) => {
                    drop(this.tap.take());
                    *lease = lease.take().and_then(Lease::give_back);
                    return Poll::Ready(None);
                }
                Err(why) => {
                    // What a client breaks is not n8n's doing.
                    if let Some(lease) = lease.take()
                        && this.exchange.was_cut().is_none()
                    {
                        lease.broke();
                    }
                    this.exchange.faulted(Fault::Broken, &why);
                    return Poll::Ready(Some(Err(Cut::Broken(why.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.source {
            Source::Own { body } => body.is_end_stream(),
            Source::N8n { body, .. } => body.is_end_stream(),
        };
        ended && self.ahead.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // How much is still to come is in the head, where it is known.
        if self.ahead.is_some() {
            return SizeHint::default();
        }
        match &self.source {
            Source::Own { body } => body.size_hint(),
            Source::N8n { body, .. } => body.size_hint(),
        }
    }
}
