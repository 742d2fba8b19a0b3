//! To n8n and back. Takes only what is permitted.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Permitted;
use crate::{
    Answer, Connect, Exchange, Failure, Fault, Live, Serve, Warden,
    stack::Means,
    tunnel::{Claim, Tunnel},
    upstream::Pool,
};

#[derive(Debug)]
pub(crate) struct Forward<C, B, W> {
    warden: W,
    pool: Pool<C, B>,
    rules: Live,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<C, B, W> Forward<C, B, W>
where
    W: Warden,
    C: Connect,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    pub(crate) fn new(means: Means<C, W>) -> Self {
        let Means { rules, telemetry, connect, tasks, stop, warden, challenges: _ } = means;
        Self { warden, pool: Pool::new(connect, telemetry), rules, tasks, stop }
    }

    fn tunnel(&self, claim: Claim, client: OnUpgrade, n8n: OnUpgrade, exchange: &Arc<Exchange>) {
        let tunnel = Tunnel {
            warden: self.warden.clone(),
            claim,
            exchange: Arc::clone(exchange),
            rules: self.rules.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(tunnel.open(client, n8n));
    }
}

impl<C, B, W> Serve<Permitted<B>> for Forward<C, B, W>
where
    W: Warden,
    C: Connect,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    type Response = Response<Answer>;
    type Error = Failure;

    async fn serve(&self, permitted: Permitted<B>) -> Result<Response<Answer>, Failure> {
        let (mut request, permit, exchange) = permitted.into_parts();
        let upgrade = permit
            .upgrade()
            .then(|| (Claim::of(&request, &self.warden), hyper::upgrade::on(&mut request)));
        request.extensions_mut().clear();
        if request.body().size_hint().exact().is_none() {
            // hyper sends a GET's body only if it is told that there is one.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
        }

        let handed_over = Instant::now();
        let candidates = exchange.rules.upstreams.candidates(&permit);
        let sent = self.pool.send(candidates, request).await;
        // A body that was cut off by a rule looks to the pool like a broken connection.
        let (mut response, lease) = sent.map_err(|failure| match exchange.was_cut() {
            Some(reason) => Failure::from(reason),
            None => failure,
        })?;
        exchange.n8n_answered(response.status(), handed_over.elapsed());

        if response.status() == StatusCode::NO_CONTENT {
            // It has none, and a client that were promised some would wait for it (RFC 9110 8.6).
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(|body| Answer::n8n(body, Some(lease), &exchange)));
        }
        let Some((claim, client)) = upgrade else {
            let why = "101 to a request that asked for no upgrade";
            return Err(Failure::Faulty(Fault::Broken, why.into()));
        };
        let n8n = hyper::upgrade::on(&mut response);
        self.tunnel(claim, client, n8n, &exchange);
        Ok(response.map(|body| Answer::n8n(body, None, &exchange)))
    }
}

impl Claim {
    /// What a later policy needs to decide about the tunnel again.
    fn of<B>(request: &Request<B>, warden: &impl Warden) -> Self {
        Self::new(request.method().clone(), request.uri().clone(), request.headers(), warden)
    }
}
