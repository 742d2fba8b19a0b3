//! Strict HTTP/1: what stands between a client's bytes and hyper, which is made to read whatever
//! can be read. It reads only what has one meaning.
//!
//! Heads pass whole; bodies pass as they come. In place of a head that is refused hyper gets
//! another one, and [`Flow`] says which it is: so it is answered by the whole stack, and nothing
//! after it is read.

mod chunks;
mod class;
mod clock;
mod flaw;
mod flow;
mod head;
mod rest;
mod stand_in;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use gateway_policy::Cut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use self::{
    clock::{Awaited, Clock},
    stand_in::stand_in,
};
pub use self::{
    flaw::Flaw,
    head::{Follows, Head, Passed},
    wire::{Seen, Then, Wire},
};
pub(crate) use self::{
    flow::Flow,
    head::{METHOD_BYTES, is_target},
    rest::Loan,
};
use crate::{Bounds, fate::Fate};

/// How long and for how many bytes a client is listened to that is still sending when it has been
/// answered: a connection that is closed before that is reset, and the answer lost (RFC 9112 9.6).
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 16 << 20;

/// A client's bytes, of which only those are read that are HTTP/1 and nothing else.
#[derive(Debug)]
pub(crate) struct Strict<IO> {
    io: IO,
    flow: Arc<Flow>,
    fate: Arc<Fate>,
    clock: Clock,
    wire: Wire,
    mode: Mode,
    /// What came and was not read: at most a head and what came with its end. Most heads come in
    /// one piece, and nothing is held.
    held: Vec<u8>,
    /// How much of it may be read, and how much has been.
    passed: usize,
    given: usize,
    /// How many answers have ended and been sent.
    sent: u64,
    /// Whether it waits for its next request without hyper.
    rests: bool,
    farewell: Option<(Pin<Box<Sleep>>, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Messages.
    Messages,
    /// Somebody asked for another protocol and is not yet answered.
    Waiting,
    /// Another protocol.
    Through,
    /// A head was refused. What follows it is never read, not even its end: the answer is on its
    /// way, and hyper would drop it for a client that is gone.
    Refused,
    /// A body was refused.
    Broken,
}

impl<IO> Strict<IO> {
    pub(crate) fn new(io: IO, flow: Arc<Flow>, bounds: &Bounds, fate: Arc<Fate>) -> Self {
        Self {
            io,
            flow,
            fate,
            clock: Clock::new(bounds),
            wire: Wire::within(bounds.size),
            mode: Mode::Messages,
            held: Vec::new(),
            passed: 0,
            given: 0,
            sent: 0,
            rests: false,
            farewell: None,
        }
    }

    /// Gives what is held and may be read; whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let ready = self.held.get(self.given..self.passed).unwrap_or_default();
        let now = ready.get(..buf.remaining()).unwrap_or(ready);
        if now.is_empty() {
            return false;
        }
        buf.put_slice(now);
        self.given += now.len();
        if self.given == self.passed {
            self.held.drain(..self.passed);
            (self.passed, self.given) = (0, 0);
            if self.held.is_empty() {
                self.held = Vec::new();
            }
        }
        true
    }

    /// Looks at what is held, of which nothing may be read yet.
    fn look(&mut self) {
        let Seen { passed, then } = self.wire.look(&self.held);
        self.passed = passed;
        self.turn(then);
    }

    /// Waits for what has taken too long, if anything is waited for: hyper has a clock for heads, and
    /// counts the time between two requests with it.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Awaited> {
        let answered = self.wire.in_head() && self.sent >= self.wire.heads();
        // Some clients send an empty line after a body (RFC 9112 2.2), which begins nothing.
        let nothing = self.held.iter().all(|it| b"\r\n".contains(it));
        let awaited = match self.mode {
            Mode::Messages if answered && nothing && self.rests => Some(Awaited::Request),
            Mode::Messages if answered && nothing => Some(Awaited::Rest),
            Mode::Messages if answered => Some(Awaited::RestOfHead),
            _ => None,
        };
        self.clock.poll(awaited.map(|it| (it, self.wire.heads())), cx)
    }

    /// Takes down what is with the bytes that are held and not passed.
    fn turn(&mut self, then: Then) {
        self.mode = match then {
            Then::More => Mode::Messages,
            Then::Answer => Mode::Waiting,
            Then::BadBody => Mode::Broken,
            Then::BadHead(flaw) => {
                tracing::debug!(flaw = flaw.name(), "head");
                self.flow.refuse(self.wire.heads() + 1, flaw);
                let head = self.held.split_off(self.passed);
                self.held.extend(stand_in(self.wire.asked(&head), &head));
                self.passed = self.held.len();
                Mode::Refused
            }
        };
    }
}

impl<IO: AsyncRead + Unpin> Strict<IO> {
    /// Reads more; whether there is any. As long as whether it may be read is not known, it is
    /// held.
    fn poll_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let more = buf.filled().get(start..).unwrap_or_default();
        if more.is_empty() {
            return Poll::Ready(Ok(false));
        }
        if self.mode == Mode::Messages && self.held.is_empty() {
            // Where hyper wants it, so that it is copied only if it is not a whole message.
            let Seen { passed, then } = self.wire.look(more);
            self.held.extend_from_slice(more.get(passed..).unwrap_or_default());
            buf.set_filled(start + passed);
            self.turn(then);
        } else {
            self.held.extend_from_slice(more);
            buf.set_filled(start);
            if self.mode == Mode::Messages {
                self.look();
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Strict<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        loop {
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.mode {
                Mode::Messages => {}
                Mode::Waiting => match this.flow.poll_switched(this.wire.heads(), cx) {
                    Poll::Ready(true) => {
                        this.mode = Mode::Through;
                        this.passed = this.held.len();
                        continue;
                    }
                    Poll::Ready(false) => {
                        this.wire.stays();
                        this.look();
                        continue;
                    }
                    // Only to learn whether the client is still there.
                    Poll::Pending if this.held.is_empty() => {}
                    Poll::Pending => return Poll::Pending,
                },
                Mode::Through => return Pin::new(&mut this.io).poll_read(cx, buf),
                Mode::Refused => return Poll::Pending,
                Mode::Broken => {
                    let why = io::Error::new(io::ErrorKind::InvalidData, "not a chunked body");
                    return Poll::Ready(Err(why));
                }
            }
            let Poll::Ready(more) = this.poll_more(cx, buf)? else {
                match ready!(this.poll_late(cx)) {
                    Awaited::Rest => this.rests = true,
                    Awaited::Request => this.fate.cut(Cut::Idle),
                    Awaited::RestOfHead => {
                        this.turn(Then::BadHead(Flaw::Late));
                        continue;
                    }
                }
                // An end: there is nothing to answer.
                return Poll::Ready(Ok(()));
            };
            if !more || buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        // An answer has ended when its last byte is on its way, not when hyper has it. hyper may
        // have looked for the next request before.
        let done = this.flow.done();
        if this.sent != done {
            this.sent = done;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            let sends = matches!(this.mode, Mode::Refused | Mode::Broken) || this.wire.in_body();
            if !sends {
                return Poll::Ready(Ok(()));
            }
        }
        let (until, left) =
            this.farewell.get_or_insert_with(|| (Box::pin(sleep(FAREWELL)), FAREWELL_BYTES));
        let mut scratch = [0; 4096];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut ignored = ReadBuf::new(&mut scratch);
            // Whatever ends it, the answer has been sent.
            let Ok(()) = ready!(Pin::new(&mut this.io).poll_read(cx, &mut ignored)) else { break };
            if ignored.filled().is_empty() {
                break;
            }
            *left = left.saturating_sub(ignored.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
