//! A refusal, a fault or a panic becomes a response: here and only here. Every answer that leaves
//! carries the request's id.

use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, future::lazy};
use gateway_n8n::{METHODS, Surface};
use gateway_policy::{Reason, Refusal};
use gateway_telemetry::{Panicked, Refused};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tower::{Layer, layer::layer_fn};

use super::Recorded;
use crate::{Answer, Exchange, Failure, Fault, Serve, failure::Spent, page};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

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

    fn serve(
        &self,
        recorded: Recorded<B>,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
        let exchange = Arc::clone(&recorded.exchange);
        let served = lazy(move |_| self.inner.serve(recorded)).flatten();
        AssertUnwindSafe(served).catch_unwind().map(move |outcome| {
            let mut response = match outcome {
                Ok(Ok(response)) => response,
                Ok(Err(Failure::Refused(refusal))) => refused(refusal, &exchange),
                Ok(Err(Failure::Explained(refusal, why))) => explained(refusal, &why, &exchange),
                Ok(Err(Failure::Limited(refusal, spent))) => limited(refusal, &spent, &exchange),
                Ok(Err(Failure::Faulty(fault, why))) => faulty(fault, &*why, &exchange),
                Err(panic) => panicked(&*panic, &exchange),
            };
            let headers = response.headers_mut();
            headers.insert(REQUEST_ID, exchange.id().unique());
            if exchange.rules.hsts && exchange.connection.tls.is_some() {
                headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
            }
            Ok(response)
        })
    }
}

/// Takes a refusal down and says it.
fn told(refusal: Refusal, exchange: &Arc<Exchange>) {
    let Refusal { reason, surface, source, offence: _, attack: _ } = refusal;
    let surface = surface.or_else(|| exchange.surface());
    exchange.located(surface);
    exchange.refused(reason, source);
    exchange.telemetry().say(&Refused {
        request_id: exchange.id().to_string(),
        client: exchange.client().address,
        surface: surface.map(Surface::name),
        reason,
        rule: source.map(|source| source.to_string()),
    });
}

fn refused(refusal: Refusal, exchange: &Arc<Exchange>) -> Response<Answer> {
    told(refusal, exchange);
    let reason = refusal.reason;
    let mut response = match reason.as_n8n() {
        Some(json) => page::as_n8n(reason.status(), json, exchange),
        None => page::answer(reason.status(), reason.text(), exchange),
    };
    // Where one message cannot be understood, the next one on the connection cannot be either,
    // unless HTTP/2 frames them; and nothing that asks by another method is a client of n8n's. A
    // banned client is to connect again, and be dropped, and one without a certificate to choose
    // one anew, if the connection is its own and no proxy's.
    let strange = reason.status() == StatusCode::BAD_REQUEST || reason == Reason::Method;
    let last = strange && !exchange.is_h2();
    let client = exchange.client().address;
    let itself = client == exchange.connection.peer.ip();
    let anew = matches!(reason, Reason::Banned | Reason::ClientCertificate);
    if reason == Reason::TooManyAtOnce {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(challenge) = exchange.challenge().filter(|_| reason == Reason::Credentials) {
        // RFC 9110 15.5.2.
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if reason == Reason::Method {
        // RFC 9110 15.5.6.
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    if last || (anew && itself) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Says why where n8n would: its editor shows the message in the form that was sent.
fn explained(refusal: Refusal, why: &str, exchange: &Arc<Exchange>) -> Response<Answer> {
    told(refusal, exchange);
    let status = refusal.reason.status();
    // Written by us: nothing in it has to be escaped.
    let json = format!("{{\"code\":{},\"message\":\"{why}\"}}", status.as_u16());
    page::as_n8n(status, &json, exchange)
}

/// Says when to come again: never at once, and not everybody at the same moment.
///
/// Source: RFC 9110 10.2.3 (`Retry-After`), draft-ietf-httpapi-ratelimit-headers-10.
fn limited(refusal: Refusal, spent: &Spent, exchange: &Arc<Exchange>) -> Response<Answer> {
    let mut response = refused(refusal, exchange);
    let Spent { limit, wait } = spent;
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let jitter = u128::from(exchange.id().number()) % (seconds / 5 + 2);
    let again = seconds + jitter;
    let (name, quota) = (&limit.name, limit.quota);
    let window = quota.period.as_secs().max(1);
    let fields = [
        (header::RETRY_AFTER, again.to_string()),
        (RATE_LIMIT, format!("\"{name}\";r=0;t={again}")),
        (RATE_LIMIT_POLICY, format!("\"{name}\";q={};w={window}", quota.rate)),
    ];
    for (field, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(field, value);
        }
    }
    response
}

fn faulty(
    fault: Fault,
    why: &(dyn std::error::Error + 'static),
    exchange: &Arc<Exchange>,
) -> Response<Answer> {
    exchange.faulted(fault, why);
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
