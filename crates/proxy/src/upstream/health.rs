//! Whether a process of n8n is there and ready.

use std::{io, pin::pin, time::Duration};

use bytes::Bytes;
use gateway_telemetry::Telemetry;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{Connect, Upstream, circuit::Trouble, connect::is_ours};

/// How long a connection may take to be made, and how long an answer may take then.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer to a request stands for an answer to a probe.
const RECENTLY: Duration = Duration::from_secs(5);

/// Asks `upstream` whether it is ready, at `path`, and notes the answer; says it if it is news, or
/// the `first` of it.
///
/// Any answer closes its circuit, since who answers is there, whatever it says of itself: one whose
/// path of readiness is another than we know must not stay shut out.
pub async fn probe(
    connect: &impl Connect,
    upstream: &Upstream,
    path: &str,
    telemetry: &Telemetry,
    first: bool,
) {
    // Requests that were answered tell as much as a probe, and n8n is asked less.
    if upstream.heard_within(RECENTLY) {
        return upstream.note(None, telemetry, first);
    }
    let connected = timeout(PROBE_TIMEOUT, connect.connect(&upstream.backend)).await;
    let ready = match connected.unwrap_or_else(|late| Err(late.into())) {
        // Nothing has been learned.
        Err(why) if is_ours(&why) => return,
        Err(why) => {
            upstream.opens(Trouble::connecting(&why), telemetry);
            Err(why)
        }
        Ok(io) => match timeout(PROBE_TIMEOUT, ask(io, upstream, path)).await {
            // It is there and busy: a workflow can keep Node from everything else.
            Err(late) => Err(late.into()),
            Ok(Err(why)) => {
                upstream.opens(Trouble::Broken, telemetry);
                Err(why)
            }
            Ok(Ok(status)) => {
                upstream.closes(telemetry);
                match status {
                    StatusCode::OK => Ok(()),
                    status => Err(io::Error::other(format!("{path} answered {}", status.as_u16()))),
                }
            }
        },
    };
    upstream.note(ready.as_ref().err().map(|why| why as _), telemetry, first);
}

async fn ask<Io>(io: Io, upstream: &Upstream, path: &str) -> io::Result<StatusCode>
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, upstream.backend.host.as_str())
        // n8n answers 204 to whatever its bot filter takes for one, `curl` among it.
        .header(header::USER_AGENT, "n8n-gateway")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let (mut asked, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    // The connection may end as soon as it has answered: the answer counts, not the end.
    let response = tokio::select! {
        response = asked.as_mut() => response,
        _ = connection.as_mut() => asked.await,
    };
    Ok(response.map_err(io::Error::other)?.status())
}
