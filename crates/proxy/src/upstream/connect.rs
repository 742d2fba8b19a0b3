//! A connection to n8n.

use std::io;

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

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    type Io = TcpStream;

    async fn connect(&self, to: &Backend) -> io::Result<TcpStream> {
        let host = to.host.trim_start_matches('[').trim_end_matches(']');
        let io = TcpStream::connect((host, to.port)).await?;
        io.set_nodelay(true)?;
        Ok(io)
    }
}
