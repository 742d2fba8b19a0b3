//! A connection to n8n.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::Backend;

/// How connections to n8n are made; tests bring wires of their own.
pub trait Connect: Clone + Send + Sync + 'static {
    /// The connection's bytes.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody listens, or the name is unknown.
    fn connect(&self, to: &Backend) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// How long n8n's machine may say nothing at all before its connections are given up. It answers
/// even while n8n works for an hour on one answer; only one that is gone does not.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// How often it is asked while nothing else is under way.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    type Io = TcpStream;

    async fn connect(&self, to: &Backend) -> io::Result<TcpStream> {
        let host = to.host.trim_start_matches('[').trim_end_matches(']');
        let io = TcpStream::connect((host, to.port)).await?;
        io.set_nodelay(true)?;
        let socket = SockRef::from(&io);
        let asks = TcpKeepalive::new().with_time(ASKED_EVERY).with_interval(ASKED_EVERY);
        socket.set_tcp_keepalive(&asks.with_retries(3))?;
        socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
        Ok(io)
    }
}
