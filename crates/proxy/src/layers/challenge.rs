//! The answers to http-01, before any rule: nobody knows from where a CA looks, so neither bans nor
//! networks nor redirects may be in its way (RFC 8555 8.3).

use std::{fmt, sync::Arc};

use gateway_policy::Reason;
use http::{HeaderValue, Method, Response, header};
use tower::{Layer, layer::layer_fn};

use super::Recorded;
use crate::{Answer, Failure, Serve};

/// Who knows what CAs may ask for now.
pub trait Challenges: fmt::Debug + Send + Sync {
    /// The answer to `token`.
    fn answer(&self, token: &str) -> Option<String>;
}

/// Where a CA looks.
const PLACE: &str = "/.well-known/acme-challenge/";

#[derive(Debug)]
pub(crate) struct Challenge<S> {
    challenges: Arc<dyn Challenges>,
    inner: S,
}

impl<S> Challenge<S> {
    pub(crate) fn layer(challenges: Arc<dyn Challenges>) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { challenges: Arc::clone(&challenges), inner })
    }
}

impl<B, S> Serve<Recorded<B>> for Challenge<S>
where
    B: Send + 'static,
    S: Serve<Recorded<B>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Failure;

    async fn serve(&self, recorded: Recorded<B>) -> Result<Response<Answer>, Failure> {
        let Recorded { request, exchange } = &recorded;
        let asked = request.uri().path().strip_prefix(PLACE);
        let asked = asked.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD));
        if let Some(answer) = asked.and_then(|token| self.challenges.answer(token)) {
            let mut response = Response::new(Answer::own(answer, exchange));
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            return Ok(response);
        }
        if exchange.connection.for_challenges {
            return Err(Reason::Banned.into());
        }
        self.inner.serve(recorded).await
    }
}
