//! A connection's bytes, as the pool looks at them: when an answer begins, and that it is still read
//! when n8n takes no more of the request.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::sleep,
};

/// How long the head of an answer may take from its first byte to its last. n8n writes it at once,
/// however long the execution before it was.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How many interim answers (100, 102, 103) may come before the answer. n8n sends none.
const INTERIM: u32 = 16;

/// What is seen of the answer that is under way.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Nothing of it has come yet.
    awaited: AtomicBool,
    interim: AtomicU32,
    news: Notify,
}

impl Signs {
    /// A request is about to be sent.
    pub(crate) fn expect(&self) {
        self.interim.store(0, Ordering::Relaxed);
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// An interim answer has come: it is dropped, and what follows it begins anew.
    pub(crate) fn interim(&self) {
        self.awaited.store(true, Ordering::Relaxed);
        if self.interim.fetch_add(1, Ordering::Relaxed) >= INTERIM {
            self.news.notify_one();
        }
    }

    fn heard(&self) {
        // Looked at before it is written: a body's bytes pass here as well.
        if self.awaited.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed) {
            self.news.notify_one();
        }
    }

    /// Waits until the answer is one that never becomes one, and tells why.
    pub(crate) async fn hopeless(&self) -> &'static str {
        loop {
            if self.interim.load(Ordering::Relaxed) > INTERIM {
                return "interim answers without end";
            }
            let begun = !self.awaited.load(Ordering::Relaxed);
            tokio::select! {
                () = self.news.notified() => {}
                () = sleep(HEAD_TIMEOUT), if begun => return "an answer's head without end",
            }
        }
    }
}

pin_project! {
    /// A connection's bytes.
    #[derive(Debug)]
    pub(crate) struct Wire<Io> {
        #[pin]
        io: Io,
        signs: Arc<Signs>,
        deaf: bool,
    }
}

impl<Io> Wire<Io> {
    pub(crate) fn new(io: Io, signs: Arc<Signs>) -> Self {
        Self { io, signs, deaf: false }
    }
}

impl<Io: AsyncRead> AsyncRead for Wire<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        ready!(this.io.poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.signs.heard();
        }
        Poll::Ready(Ok(()))
    }
}

/// Whoever takes no more of a request has often answered it before (413, 401). The answer, or the
/// end, is what is read; so what cannot be written is dropped here, and hyper reads on.
fn told(written: Poll<io::Result<usize>>, all: usize, deaf: &mut bool) -> Poll<io::Result<usize>> {
    match written {
        Poll::Ready(Err(why)) if is_end(&why) => {
            *deaf = true;
            Poll::Ready(Ok(all))
        }
        other => other,
    }
}

fn is_end(why: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(why.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

impl<Io: AsyncWrite> AsyncWrite for Wire<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if *this.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        told(this.io.poll_write(cx, bytes), bytes.len(), this.deaf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let all = slices.iter().map(|it| it.len()).sum();
        if *this.deaf {
            return Poll::Ready(Ok(all));
        }
        told(this.io.poll_write_vectored(cx, slices), all, this.deaf)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if *this.deaf { Poll::Ready(Ok(())) } else { this.io.poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}
