//! A refusal, a fault or a panic becomes a response: here and only here. Every answer that leaves
//! carries the request's id.

use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use gateway_n8n::Surface;
use gateway_policy::Refusal;
use gateway_telemetry::{Panicked, Refused, UpstreamFault};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tower::{Layer, layer::layer_fn};

use super::Recorded;
use crate::{Answer, Exchange, Failure, Fault, Serve, failure::chain, page};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A year, as browsers' preload lists ask for; subdomains are the operator's own business.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

const BUG: &str = "The gateway met a bug while it handled this request.";

#[derive(Debug)]
pub(crate) struct Rescue<S> {
    inner: S,
}

impl<S> Rescue<S> {
    pub(crate) fn layer() -> impl Layer<S, Service = Self> {
        layer_fn(|inner| Self { inner })
    }
}

impl<B, S> Serve<Recorded<B>> for Rescue<S>
where
    B: Send + 'static,
    S: Serve<Recorded<B>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Infallible;

    async fn serve(&self, recorded: Recorded<B>) -> Result<Response<Answer>, Infallible> {
        let exchange = Arc::clone(&recorded.exchange);
        let outcome = AssertUnwindSafe(self.inner.serve(recorded)).catch_unwind().await;
        let mut response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(Failure::Refused(refusal))) => refused(refusal, &exchange),
            Ok(Err(Failure::Faulty(fault, why))) => faulty(fault, &*why, &exchange),
            Err(panic) => panicked(&*panic, &exchange),
        };
        if let Ok(id) = HeaderValue::try_from(exchange.id().to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if exchange.rules.hsts && exchange.connection.tls.is_some() {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        Ok(response)
    }
}

fn refused(refusal: Refusal, exchange: &Arc<Exchange>) -> Response<Answer> {
    let Refusal { reason, surface, source } = refusal;
    let surface = surface.or_else(|| exchange.surface());
    exchange.located(surface);
    exchange.failed(reason.name());
    exchange.telemetry().say(&Refused {
        request_id: exchange.id().to_string(),
        client: exchange.client().address,
        surface: surface.map(Surface::name),
        reason,
        rule: source.map(|source| source.to_string()),
    });
    let mut response = page::answer(reason.status(), reason.text(), exchange);
    // Where one message cannot be understood, the next one on the connection cannot be either.
    // HTTP/2 frames its messages, and forbids the field.
    if reason.status() == StatusCode::BAD_REQUEST && !exchange.is_h2() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn faulty(
    fault: Fault,
    why: &(dyn std::error::Error + 'static),
    exchange: &Arc<Exchange>,
) -> Response<Answer> {
    exchange.failed(fault.name());
    exchange.telemetry().say(&UpstreamFault {
        request_id: exchange.id().to_string(),
        fault: fault.name(),
        error: chain(why),
    });
    page::answer(fault.status(), fault.text(), exchange)
}

fn panicked(panic: &(dyn Any + Send), exchange: &Arc<Exchange>) -> Response<Answer> {
    let said = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    let message = said.or_else(|| panic.downcast_ref::<String>().cloned());
    exchange.failed("bug");
    exchange.telemetry().say(&Panicked {
        request_id: exchange.id().to_string(),
        message: message.unwrap_or_default(),
    });
    page::answer(StatusCode::INTERNAL_SERVER_ERROR, BUG, exchange)
}
