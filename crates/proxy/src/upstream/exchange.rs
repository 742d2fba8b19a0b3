//! One question and its whole answer, over a connection of its own.

use std::{error::Error, io, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Body, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Sends `request` over `io`, and gives the answer with its body, of at most `longest` bytes. How long
/// it may take is the caller's to say.
///
/// # Errors
///
/// Why there is no whole answer.
pub async fn exchange<Io, B>(
    io: Io,
    request: Request<B>,
    longest: usize,
) -> io::Result<Response<Bytes>>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let shaken = http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(io::Error::other)?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        #[expect(clippy::disallowed_methods, reason = "limited in this line")]
        let body = Limited::new(body, longest).collect().await.map_err(io::Error::other)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let (mut answered, mut connection) = (pin!(answered), pin!(connection));
    // The connection may end as soon as it has answered: the answer counts, not the end.
    tokio::select! {
        answer = answered.as_mut() => answer,
        _ = connection.as_mut() => answered.await,
    }
}
