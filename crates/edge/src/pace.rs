//! How fast a client takes what it is sent: whoever stops reading, or reads a byte now and then,
//! holds a connection and all that waits behind it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use gateway_policy::{Cut, Pace, Patience, Slow};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::fate::Fate;

/// A client's bytes as they come, and ours at the client's pace. It stands below TLS, where a
/// client that does not read is first felt.
#[derive(Debug)]
pub(crate) struct Paced<IO> {
    io: IO,
    reset: fn(&IO),
    fate: Arc<Fate>,
    patience: Patience,
    /// Since when it has been waited for, and until when it will be.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<IO> Paced<IO> {
    /// `reset` has what the client did not take thrown away when `io` is dropped.
    pub(crate) fn new(io: IO, pace: Pace, fate: Arc<Fate>, reset: fn(&IO)) -> Self {
        Self { io, reset, fate, patience: Patience::new(pace), waiting: None }
    }

    /// Takes down how a write went; one that waits for too long fails.
    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            if let (Some((since, _)), Ok(bytes)) = (self.waiting.take(), &written) {
                self.patience.waited(since.elapsed());
                self.patience.moved(*bytes);
            }
            return Poll::Ready(written);
        }
        let left = self.patience.left();
        let (_, until) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        if until.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let waited = self.waiting.as_ref().map(|(since, _)| since.elapsed()).unwrap_or_default();
        self.fate.cut(match self.patience.verdict(waited) {
            Slow::Stalled => Cut::StalledReader,
            Slow::Dripping => Cut::SlowReader,
        });
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO> Drop for Paced<IO> {
    fn drop(&mut self) {
        if self.fate.was().is_some_and(Cut::resets) {
            (self.reset)(&self.io);
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Paced<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Paced<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.judge(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const PACE: Pace = Pace { stall: Duration::from_secs(30), rate: 256 };

    /// Sends more than a client takes that has stopped to read, and tells how the connection ends
    /// for the client.
    async fn end_of_a_slow_reader(reset: fn(&TcpStream)) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let mut paced = Paced::new(listener.accept().await?.0, PACE, Arc::default(), reset);
        let piece = vec![0; 1 << 20];
        let cut = loop {
            if let Err(why) = paced.write_all(&piece).await {
                break why;
            }
        };
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
        drop(paced);
        client.read_to_end(&mut Vec::new()).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_reader_did_not_take_is_thrown_away() {
        // The kernel would keep it for as long as the client likes.
        let ended = end_of_a_slow_reader(|io| drop(io.set_zero_linger())).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(end_of_a_slow_reader(|_| {}).await.is_ok_and(|it| it > 0));
    }
}
