//! A connection that rests. hyper and its buffers, some 10 KiB, are there only while there is
//! something to serve: most of a browser's connections wait for their next request, and a machine
//! has thousands of them.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use gateway_policy::Cut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Strict;

/// How much is read of what ends a rest; the rest of it hyper reads.
const FIRST_READ: usize = 2048;

/// Where a connection comes back to.
pub(crate) struct Loan<IO>(Arc<Mutex<Option<Box<Strict<IO>>>>>);

impl<IO> Default for Loan<IO> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<IO> Loan<IO> {
    /// Lends a connection to hyper.
    pub(crate) fn lend(&self, io: Box<Strict<IO>>) -> Lent<IO> {
        Lent { io: Some(io), back: Self(Arc::clone(&self.0)) }
    }

    /// The connection, if hyper let go of it because it rests.
    pub(crate) fn back(&self) -> Option<Box<Strict<IO>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection that hyper has. When hyper lets go of it and it rests, it comes back.
pub(crate) struct Lent<IO> {
    io: Option<Box<Strict<IO>>>,
    back: Loan<IO>,
}

impl<IO> fmt::Debug for Lent<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

impl<IO> Drop for Lent<IO> {
    fn drop(&mut self) {
        let rested = self.io.take().filter(|io| io.rests);
        if let Some(io) = rested {
            *self.back.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(io);
        }
    }
}

impl<IO: AsyncRead + Unpin> Strict<IO> {
    /// Waits for the next request of a connection that rests. Whether there is one: else it has
    /// ended, or waited for too long.
    ///
    /// # Errors
    ///
    /// What the connection ended with.
    pub(crate) async fn awake(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_awake(cx)).await
    }

    fn poll_awake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // On the stack: a connection that rests keeps nothing for it.
        let mut scratch = [0; FIRST_READ];
        loop {
            let mut read = ReadBuf::new(&mut scratch);
            if Pin::new(&mut self.io).poll_read(cx, &mut read)?.is_pending() {
                ready!(self.poll_late(cx));
                self.fate.cut(Cut::Idle);
                return Poll::Ready(Ok(false));
            }
            if read.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.held.extend_from_slice(read.filled());
            // An empty line begins nothing and buys no time. A second one is for `look` to refuse.
            if self.held != b"\r\n" {
                self.rests = false;
                self.look();
                return Poll::Ready(Ok(true));
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Lent<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lent<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_write(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            // The end was hyper's, not the connection's.
            Some(io) if io.rests => Poll::Ready(Ok(())),
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, sleep},
    };

    use super::*;
    use crate::{
        fate::Fate,
        strict::{Flow, tests::BOUNDS},
    };

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    /// A connection on which one request was answered, and which hyper has let go of since.
    async fn rested() -> (DuplexStream, Box<Strict<DuplexStream>>, Arc<Fate>) {
        let ((mut client, server), fate) = (duplex(1 << 10), Arc::<Fate>::default());
        let flow = Arc::new(Flow::default());
        let strict = Strict::new(server, Arc::clone(&flow), &BOUNDS, Arc::clone(&fate));
        let loan = Loan::default();
        let mut lent = loan.lend(Box::new(strict));
        client.write_all(HEAD).await.unwrap();
        let mut read = vec![0; HEAD.len()];
        lent.read_exact(&mut read).await.unwrap();
        assert_eq!(read, HEAD);
        // Nobody who waits for an answer rests.
        let waits = tokio::time::timeout(BOUNDS.idle * 2, lent.read(&mut read)).await;
        assert!(waits.is_err());
        flow.answered(StatusCode::OK);
        flow.ended();
        lent.flush().await.unwrap();
        assert_eq!(lent.read(&mut read).await.unwrap(), 0, "an end, for hyper alone");
        lent.shutdown().await.unwrap();
        drop(lent);
        (client, loan.back().expect("it rests"), fate)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_ends_a_rest() {
        let (mut client, mut rested, fate) = rested().await;
        sleep(BOUNDS.idle / 2).await;
        // With bytes that are none of it, and in pieces.
        client.write_all(b"\r\nGET / H").await.unwrap();
        assert!(rested.awake().await.unwrap());
        let loan = Loan::default();
        let mut lent = loan.lend(rested);
        client.write_all(b"TTP/1.1\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        while read.len() < HEAD.len() + 2 {
            assert_ne!(lent.read_buf(&mut read).await.unwrap(), 0);
        }
        assert_eq!(read, [b"\r\n", HEAD].concat());
        drop(lent);
        assert!(loan.back().is_none(), "it does not rest: it is closed");
        assert_eq!(fate.was(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_a_part_of_the_time_that_a_connection_may_idle() {
        let (_client, mut rested, fate) = rested().await;
        let before = Instant::now();
        assert!(!rested.awake().await.unwrap());
        let took = before.elapsed();
        let second = Duration::from_secs(1);
        assert!(took < BOUNDS.idle && took > BOUNDS.idle - 3 * second, "{took:?}");
        assert_eq!(fate.was(), Some(Cut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_line_buys_no_time() {
        let (mut client, mut rested, fate) = rested().await;
        let before = Instant::now();
        let sends = async {
            sleep(BOUNDS.idle / 2).await;
            client.write_all(b"\r\n").await.unwrap();
        };
        let (awake, ()) = tokio::join!(rested.awake(), sends);
        assert!(!awake.unwrap());
        assert!(before.elapsed() < BOUNDS.idle, "{:?}", before.elapsed());
        assert_eq!(fate.was(), Some(Cut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_ends_a_rest() {
        let (client, mut rested, fate) = rested().await;
        drop(client);
        assert!(!rested.awake().await.unwrap());
        assert_eq!(fate.was(), None);
    }
}
