//! What the gateway asks of n8n for itself.

use std::{io, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{Connect, Upstream};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest page, in bytes; n8n's has some 20,000.
const PAGE: usize = 1 << 20;

/// To what calls itself anything that is no browser, n8n answers 204 and nothing else.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/130.0.0.0 Safari/537.36";

/// Asks `upstream` for what it tells everybody at `path`, whatever it answers.
///
/// # Errors
///
/// Why there is no answer, or none of that size in time.
pub async fn fetch(connect: &impl Connect, upstream: &Upstream, path: &str) -> io::Result<String> {
    timeout(PATIENCE, page(connect, upstream, path)).await?
}

async fn page(connect: &impl Connect, upstream: &Upstream, path: &str) -> io::Result<String> {
    let io = connect.connect(&upstream.backend).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, upstream.backend.host.as_str())
        .header(header::USER_AGENT, BROWSER)
        .header(header::ACCEPT, "text/html")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let read = async {
        let body = sender.send_request(request).await.map_err(io::Error::other)?.into_body();
        #[expect(clippy::disallowed_methods, reason = "limited in this line")]
        let body = Limited::new(body, PAGE).collect().await.map_err(io::Error::other)?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    let (mut read, mut connection) = (pin!(read), pin!(connection));
    // The connection may end as soon as it has answered: the answer counts, not the end.
    tokio::select! {
        page = read.as_mut() => page,
        _ = connection.as_mut() => read.await,
    }
}
