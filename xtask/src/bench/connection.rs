//! What is said on a connection of our own client.

use std::rc::Rc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};
use tokio_util::task::AbortOnDropHandle;

use super::client::{HOST, Wire};

/// A connection on which one speaks.
pub(super) enum Connection {
    One(Box<Wire>),
    Two {
        sender: SendRequest<Empty<Bytes>>,
        origin: String,
        /// Drives it until the last of its users is gone.
        driver: Rc<AbortOnDropHandle<()>>,
    },
}

impl Connection {
    /// Speaks HTTP/2.
    pub(super) async fn two(wire: Wire, port: u16) -> anyhow::Result<Self> {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await?;
        let driver = Rc::new(AbortOnDropHandle::new(spawn_local(async move {
            // How it ended is told to whoever asks.
            _ = connection.await;
        })));
        Ok(Self::Two { sender, origin: format!("https://{HOST}:{port}"), driver })
    }

    /// The same connection for somebody else who asks at the same time; HTTP/1 has no such thing.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two { sender, origin, driver } => Some(Self::Two {
                sender: sender.clone(),
                origin: origin.clone(),
                driver: Rc::clone(driver),
            }),
        }
    }

    /// Asks, reads the whole answer, and gives its status.
    pub(super) async fn ask(&mut self, path: &str) -> anyhow::Result<u16> {
        match self {
            Self::One(wire) => ask(wire, path).await,
            Self::Two { sender, origin, .. } => {
                let request = Request::get(format!("{origin}{path}")).body(Empty::new())?;
                let answer = sender.send_request(request).await?;
                let status = answer.status().as_u16();
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    frame?;
                }
                Ok(status)
            }
        }
    }
}

/// Asks on a connection of HTTP/1, reads the whole answer, and gives its status.
pub(super) async fn ask(wire: &mut Wire, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: bench\r\n\r\n");
    wire.write_all(request.as_bytes()).await?;
    wire.flush().await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if wire.read_buf(&mut answer).await? == 0 {
            bail!("an end without an answer");
        }
        if let Some((status, whole)) = head(&answer)?
            && answer.len() >= whole
        {
            return Ok(status);
        }
    }
}

/// The status of an answer and its whole length, as soon as its head is there.
fn head(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let status = text.split(' ').nth(1).context("a status")?.parse()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |it| it.trim().parse())?;
    Ok(Some((status, end + 4 + length)))
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn an_answer_ends_where_it_says() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhel";
        assert_eq!(head(answer).unwrap(), Some((404, answer.len() + 2)));
        assert_eq!(head(&answer[..30]).unwrap(), None);
    }
}
