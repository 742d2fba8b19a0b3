//! A wire that is held up or cut at a byte.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::sleep,
};

/// Which bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those of requests.
    Up,
    /// Those of answers.
    Down,
}

/// What happens to the byte after the last that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// It is lost, and the connection is closed both ways.
    Cut,
    /// It comes later.
    Late(Duration),
    /// It is lost, like all after it, and nobody is told.
    Lost,
}

/// Holds up or cuts one connection at a byte.
#[derive(Clone, Debug)]
pub struct Knife {
    way: Way,
    passes: usize,
    stroke: Stroke,
    struck: Arc<AtomicBool>,
    away: Arc<AtomicBool>,
}

impl Knife {
    /// Lets so many bytes pass that way, and strikes at the next one.
    #[must_use]
    pub fn new(way: Way, passes: usize, stroke: Stroke) -> Self {
        Self { way, passes, stroke, struck: Arc::default(), away: Arc::default() }
    }

    /// Whether so many bytes have passed that it struck: on the first connection that is so long,
    /// and on no other.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// Lets everything pass from now on.
    pub fn put_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// Carries bytes between whoever asks and whoever answers until one of them ends.
    pub async fn carry(
        self,
        asks: impl AsyncRead + AsyncWrite + Unpin,
        answers: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let (mut from_asks, mut to_asks) = split(asks);
        let (mut from_answers, mut to_answers) = split(answers);
        let (up, down) = (self.limit(Way::Up), self.limit(Way::Down));
        // An end of one side is the end of both: nothing here knows half a connection.
        tokio::select! {
            ended = self.pump(&mut from_asks, &mut to_answers, up) => drop(ended),
            ended = self.pump(&mut from_answers, &mut to_asks, down) => drop(ended),
        }
    }

    fn limit(&self, way: Way) -> Option<usize> {
        (self.way == way).then_some(self.passes)
    }

    async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        limit: Option<usize>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        loop {
            let read = from.read(&mut buffer).await?;
            let Some(mut bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            if let Some(left) = limit.filter(|limit| (passed..passed + read).contains(limit)) {
                let (first, rest) = bytes.split_at(left - passed);
                to.write_all(first).await?;
                to.flush().await?;
                let away = self.away.load(Ordering::SeqCst);
                if !away && !self.struck.swap(true, Ordering::SeqCst) {
                    match self.stroke {
                        Stroke::Cut => return Ok(()),
                        Stroke::Late(pause) => sleep(pause).await,
                        Stroke::Lost => std::future::pending().await,
                    }
                }
                bytes = rest;
            }
            to.write_all(bytes).await?;
            to.flush().await?;
            passed += read;
        }
    }
}
