//! The answers to http-01, before any rule: nobody knows from where a CA looks, so neither bans nor
//! networks nor redirects may be in its way (RFC 8555 8.3).

use std::{fmt, future::ready, sync::Arc};

use futures_util::future::Either;
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

    fn serve(
        &self,
        recorded: Recorded<B>,
    ) -> impl Future<Output = Result<Response<Answer>, Failure>> + Send {
        match self.answer(&recorded) {
            Some(answer) => Either::Left(ready(answer)),
            None => Either::Right(self.inner.serve(recorded)),
        }
    }
}

impl<S> Challenge<S> {
    /// What is answered here, if anything is.
    fn answer<B>(
        &self,
        Recorded { request, exchange }: &Recorded<B>,
    ) -> Option<Result<Response<Answer>, Failure>> {
        let asked = request.uri().path().strip_prefix(PLACE);
        let fit = exchange.was_cut().is_none();
        let asked =
            asked.filter(|_| fit && matches!(*request.method(), Method::GET | Method::HEAD));
        if let Some(answer) = asked.and_then(|token| self.challenges.answer(token)) {
            let mut response = Response::new(Answer::own(answer, exchange));
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            return Some(Ok(response));
        }
        exchange.connection.for_challenges.then(|| Err(Reason::Banned.into()))
    }
}
