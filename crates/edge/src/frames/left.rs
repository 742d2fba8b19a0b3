//! What is left of a connection that was cut: its client is told why, and let go in order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// How long and for how many bytes a client is listened to that is still sending: a connection that
/// is closed before that is reset, and the last word lost.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 1 << 20;

/// A place for what is left of a connection.
#[derive(Debug)]
pub(crate) struct Left<IO>(Arc<Mutex<Option<(IO, Vec<u8>)>>>);

impl<IO> Clone for Left<IO> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<IO> Default for Left<IO> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<IO> Left<IO> {
    /// Leaves `io`, with what is still to be said.
    pub(super) fn give(&self, io: IO, words: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((io, words));
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Left<IO> {
    /// Says what is still to be said and closes the connection, if there is one.
    pub(crate) async fn farewell(self) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((io, words)) = left {
            // Nobody waits for whom does not listen.
            drop(timeout(FAREWELL, farewell(io, words)).await);
        }
    }
}

async fn farewell(mut io: impl AsyncRead + AsyncWrite + Unpin, words: Vec<u8>) {
    if io.write_all(&words).await.is_err() || io.shutdown().await.is_err() {
        return;
    }
    let (mut scratch, mut left) = ([0; 4096], FAREWELL_BYTES);
    while let Ok(read @ 1..) = io.read(&mut scratch).await {
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}
