//! An n8n that does byte for byte what it is told, right or wrong.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::sleep,
};

use super::{FakeN8n, Seen};

/// What is done on a connection, one step after the other; after the last it is closed.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads the head of a request, and nothing of its body.
    Head,
    /// Reads a request whole.
    Request,
    /// Reads requests whole and answers each with its own target.
    Mirror,
    /// Says something.
    Say(Bytes),
    /// Says something byte by byte, with a pause before each.
    Drip(Bytes, Duration),
    /// Says the same again and again.
    Flood(Bytes),
    /// Waits.
    Wait(Duration),
    /// Sends back what comes, until the other end has ended.
    Echo,
    /// Reads on, until the other end has ended.
    Read,
    /// Does nothing any more and keeps the connection.
    Hang,
}

impl Step {
    /// Says something.
    #[must_use]
    pub fn say(bytes: &'static str) -> Self {
        Self::Say(Bytes::from_static(bytes.as_bytes()))
    }
}

/// One connection on which a script is played.
struct Stage<'n> {
    n8n: &'n FakeN8n,
    process: &'n str,
    io: DuplexStream,
    read: Vec<u8>,
}

impl FakeN8n {
    pub(super) async fn play(&self, steps: Vec<Step>, io: DuplexStream, process: &str) {
        let mut stage = Stage { n8n: self, process, io, read: Vec::new() };
        for step in steps {
            // How a connection ends is what tests of the gateway look at from its other end.
            if stage.step(step).await.is_err() {
                return;
            }
        }
    }
}

impl Stage<'_> {
    async fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Head => self.head().await.map(|mut seen| {
                seen.body = None;
                self.n8n.note(seen);
            }),
            Step::Request => self.request().await.map(drop),
            Step::Mirror => loop {
                let target = self.request().await?;
                let length = target.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                self.say(format!("{head}{target}").as_bytes()).await?;
            },
            Step::Say(bytes) => self.say(&bytes).await,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    sleep(pause).await;
                    self.say(&[byte]).await?;
                }
                Ok(())
            }
            Step::Flood(bytes) => loop {
                self.say(&bytes).await?;
                sleep(Duration::from_millis(1)).await;
            },
            Step::Wait(time) => {
                sleep(time).await;
                Ok(())
            }
            Step::Echo => loop {
                let bytes = std::mem::take(&mut self.read);
                self.say(&bytes).await?;
                self.more().await?;
            },
            Step::Read => loop {
                self.read.clear();
                self.more().await?;
            },
            Step::Hang => std::future::pending().await,
        }
    }

    async fn request(&mut self) -> io::Result<String> {
        let mut seen = self.head().await?;
        seen.body = Some(self.body(&seen.headers).await?);
        let target = seen.target.clone();
        self.n8n.note(seen);
        Ok(target)
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.io.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.read.windows(end.len()).position(|it| it == end);
            if let Some(at) = found {
                return Ok(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn head(&mut self) -> io::Result<Seen> {
        if self.read.is_empty() {
            self.more().await?;
        }
        self.n8n.begun();
        let head = String::from_utf8(self.until(b"\r\n\r\n").await?).map_err(io::Error::other)?;
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default();
        let target = first.next().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = name.parse::<HeaderName>().map_err(io::Error::other)?;
            headers.append(name, value.parse::<HeaderValue>().map_err(io::Error::other)?);
        }
        let method = method.parse::<Method>().map_err(io::Error::other)?;
        Ok(Seen {
            process: self.process.to_owned(),
            method,
            target,
            headers,
            body: None,
            beginning: Vec::new(),
        })
    }

    async fn body(&mut self, headers: &HeaderMap) -> io::Result<usize> {
        if headers.contains_key("transfer-encoding") {
            let mut length = 0;
            loop {
                let size = String::from_utf8(self.until(b"\r\n").await?);
                let size = size.map_err(io::Error::other)?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                self.exactly(size + 2).await?;
                if size == 0 {
                    return Ok(length);
                }
                length += size;
            }
        }
        let length = headers.get("content-length").and_then(|it| it.to_str().ok()?.parse().ok());
        let length = length.unwrap_or(0);
        self.exactly(length).await.map(|()| length)
    }

    async fn exactly(&mut self, length: usize) -> io::Result<()> {
        while self.read.len() < length {
            self.more().await?;
        }
        self.read.drain(..length);
        Ok(())
    }
}
