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

/// How often n8n's machine is asked whether it is there while nothing else is under way. It answers
/// even while n8n works for an hour on one answer; only one that is gone does not. There is no
/// `TCP_USER_TIMEOUT`: it ends a connection whose other side is there and does not read (tcp(7)), as
/// an n8n that is busy does not.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// Whether a connection failed for want of something of our own, so that it tells nothing of n8n:
/// file descriptors, ports, memory (Linux `ENOMEM`, `ENFILE`, `EMFILE`, `EADDRNOTAVAIL`, `ENOBUFS`).
pub(super) fn is_ours(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(12 | 23 | 24 | 99 | 105))
}

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
        Ok(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_ourselves_tells_nothing_of_n8n() {
        assert!([12, 23, 24, 99, 105].map(io::Error::from_raw_os_error).iter().all(is_ours));
        let refused = [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut];
        assert!(!refused.map(io::Error::from).iter().any(is_ours));
        assert!(!is_ours(&io::Error::from_raw_os_error(111)), "ECONNREFUSED");
    }
}
