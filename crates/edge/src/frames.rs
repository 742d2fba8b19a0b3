//! Strict HTTP/2: what stands between TLS and hyper, and looks at the frames of both directions.
//!
//! Bytes pass as they come and are never copied; of most frames only the head is looked at. What
//! breaks a rule, or comes too often, ends the connection: hyper hears of an error at once and drops
//! all that it holds, and what is left of the connection is given back, to be ended in order.

mod frame;
mod inbound;
mod left;
mod limit;
mod outbound;
mod reader;
mod request;
mod stall;
mod streams;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use gateway_policy::Cut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    frame::{Code, go_away, reset},
    wire::{Fault, Wire, too_much},
};
pub(crate) use self::{left::Left, request::flaw, wire::list_size};
use crate::{Bounds, fate::Fate};

/// The length of a RST_STREAM.
const RESET: usize = 13;

/// How long hyper may take to end the frame that it is sending, so that GOAWAY can follow it.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// A client's frames, and hyper's.
#[derive(Debug)]
pub(crate) struct Frames<IO> {
    /// Nothing once it has been given back.
    io: Option<IO>,
    wire: Wire,
    bounds: Bounds,
    fate: Arc<Fate>,
    left: Left<IO>,
    /// Cancelled when nothing more is to be asked on this connection.
    last: CancellationToken,
    /// Whether it was cancelled because nothing is.
    leaves: bool,
    fault: Option<(Fault, Instant)>,
    /// Streams whose end hyper is to hear of, as if the client had reset them.
    resets: Vec<u32>,
    /// What is to be sent before hyper's next frame, and how much of it has been.
    ours: Vec<u8>,
    sent: usize,
    timer: Pin<Box<Sleep>>,
}

impl<IO> Frames<IO> {
    pub(crate) fn new(
        io: IO,
        bounds: Bounds,
        fate: Arc<Fate>,
        left: Left<IO>,
        last: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            io: Some(io),
            wire: Wire::new(&bounds, now),
            bounds,
            fate,
            left,
            last,
            leaves: false,
            fault: None,
            resets: Vec::new(),
            ours: Vec::new(),
            sent: 0,
            timer: Box::pin(sleep_until(now + bounds.head.min(bounds.idle))),
        }
    }

    /// The connection ends for this reason.
    fn end(&mut self, fault: Fault, now: Instant) {
        if self.fault.is_none() {
            if let Some(cut) = fault.cut {
                self.fate.cut(cut);
            }
            self.fault = Some((fault, now + LAST_FRAME));
            self.look_by(now + LAST_FRAME);
        }
    }

    /// Whether it has ended for hyper: its last frame has been sent, or cannot be.
    fn over(&self) -> io::Result<()> {
        match self.fault {
            Some((fault, until)) if self.is_free() || until <= Instant::now() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, fault))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether another frame can be sent now.
    fn is_free(&self) -> bool {
        self.wire.is_free() && self.sent == 0
    }

    fn look_by(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    /// Looks at the clock, when there is nothing else to do; whether something was due.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> bool {
        let mut due = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            due = true;
            let next = self.tick(Instant::now());
            self.timer.as_mut().reset(next);
        }
        due
    }

    /// Does what is due, and tells when to look again.
    fn tick(&mut self, now: Instant) -> Instant {
        while self.fault.is_none()
            && let Some(id) = self.wire.streams.stuck(now)
        {
            self.ours.extend(reset(id, Code::Cancel));
            self.resets.push(id);
            if let Err(fault) = self.wire.give_up(id, now) {
                self.end(fault, now);
            }
        }
        if self.wire.streams.all_stuck(now) {
            self.end(too_much(Cut::H2Stalled), now);
        }
        let late = self.wire.unfinished().map(|since| since + self.bounds.head);
        if late.is_some_and(|at| at <= now) {
            self.end(too_much(Cut::H2Unfinished), now);
        }
        let leaves = self.wire.streams.idle.map(|since| since + self.bounds.idle);
        // hyper says that nothing more is to be asked, and waits until the client has heard it.
        let left = leaves.map(|at| at + self.bounds.head);
        if leaves.is_some_and(|at| at <= now) {
            self.leaves = true;
            self.last.cancel();
        }
        if left.is_some_and(|at| at <= now) {
            self.end(Fault { code: Code::No, cut: Some(Cut::Idle) }, now);
        }
        let until = self.fault.map(|(_, until)| until);
        let due = [self.wire.streams.due(), late, leaves, left, until];
        let next = due.into_iter().flatten().filter(|at| *at > now).min();
        next.unwrap_or(now + self.bounds.idle).min(now + self.bounds.idle)
    }

    /// Looks when something is due, if that can have changed.
    fn look(&mut self) {
        if self.wire.has_changed() {
            let late = self.wire.unfinished().map(|since| since + self.bounds.head);
            let due = [self.wire.streams.due(), late].into_iter().flatten().min();
            if let Some(at) = due {
                self.look_by(at);
            }
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut IO>>
    where
        IO: Unpin,
    {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Frames<IO> {
    /// Sends what is ours, between two of hyper's frames.
    fn poll_ours(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ours.is_empty() && self.wire.is_free() {
            let Some(io) = &mut self.io else { break };
            let rest = self.ours.get(self.sent..).unwrap_or_default();
            self.sent += ready!(Pin::new(io).poll_write(cx, rest))?;
            if self.sent >= self.ours.len() {
                (self.ours, self.sent) = (Vec::new(), 0);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the client sends; whether there is any. What breaks a rule is not given on.
    fn poll_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        if self.resets.is_empty() {
            ready!(self.io()?.poll_read(cx, buf))?;
        } else {
            // Up to the end of the frame, so that another one can follow it.
            let most = self.wire.came.missing().min(buf.remaining());
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
            ready!(self.io()?.poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buf.advance(read);
        }
        let now = Instant::now();
        let more = buf.filled().get(start..).unwrap_or_default();
        if let Err(fault) = self.wire.came(more, now) {
            buf.set_filled(start);
            self.end(fault, now);
        }
        self.look();
        Poll::Ready(Ok(()))
    }

    /// Sends what hyper sends, as long as the connection has not ended.
    fn poll_out(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            self.over()?;
            if let Poll::Ready(written) = self.poll_some(cx, bufs) {
                return Poll::Ready(written);
            }
            if !self.poll_clock(cx) && self.over().is_ok() {
                return Poll::Pending;
            }
        }
    }

    fn poll_some(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_ours(cx))?;
        let now = Instant::now();
        let mut most = usize::MAX;
        if self.fault.is_some() || !self.ours.is_empty() {
            most = self.wire.goes.missing();
        }
        if let Some((before, fault)) = self.wire.gives_up(bufs) {
            if before == 0 {
                self.end(fault, now);
                return Poll::Pending;
            }
            most = most.min(before);
        }
        let whole = bufs.iter().map(|it| it.len()).sum::<usize>() <= most;
        let first = bufs.iter().find(|it| !it.is_empty()).map_or(&[][..], |it| it);
        let first = first.get(..most).unwrap_or(first);
        let written = match bufs {
            [_, _, ..] if whole => ready!(self.io()?.poll_write_vectored(cx, bufs))?,
            _ => ready!(self.io()?.poll_write(cx, first))?,
        };
        let mut left = written;
        for buf in bufs {
            let here = buf.get(..left).unwrap_or(buf);
            left -= here.len();
            if let Err(fault) = self.wire.went(here, now) {
                self.end(fault, now);
            }
        }
        self.look();
        if self.fault.is_some() && self.is_free() {
            // Whoever waits for bytes hears of it.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(written))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Frames<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(sent) = this.poll_ours(cx) {
            sent?;
        }
        loop {
            this.over()?;
            if this.wire.is_between()
                && buf.remaining() >= RESET
                && let Some(id) = this.resets.pop()
            {
                buf.put_slice(&reset(id, Code::Cancel));
                return Poll::Ready(Ok(()));
            }
            if this.fault.is_none()
                && let Poll::Ready(read) = this.poll_more(cx, buf)
            {
                if read.is_err() || this.fault.is_none() {
                    return Poll::Ready(read);
                }
                continue;
            }
            if !this.poll_clock(cx) {
                return Poll::Pending;
            }
            // Whether it can be sent yet or not, there is nothing to wait for here.
            if let Poll::Ready(sent) = this.poll_ours(cx) {
                sent?;
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.over()?;
            if let Poll::Ready(flushed) = this.io()?.poll_flush(cx) {
                return Poll::Ready(flushed);
            }
            if !this.poll_clock(cx) {
                return Poll::Pending;
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }
}

impl<IO> Drop for Frames<IO> {
    fn drop(&mut self) {
        let Some((fault, _)) = self.fault else {
            if self.leaves {
                self.fate.cut(Cut::Idle);
            }
            return;
        };
        let words = self.is_free().then(|| go_away(self.wire.passed(), fault.code).to_vec());
        if let Some(io) = self.io.take() {
            self.left.give(io, words.unwrap_or_default());
        }
    }
}
