//! What the gateway asks of n8n for itself.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use tokio::time::timeout;

use super::{Connect, Upstream, exchange};

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
    let request = Request::get(path)
        .header(header::HOST, upstream.backend.host.as_str())
        .header(header::USER_AGENT, BROWSER)
        .header(header::ACCEPT, "text/html")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = exchange(connect.connect(&upstream.backend).await?, request, PAGE).await?;
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}
