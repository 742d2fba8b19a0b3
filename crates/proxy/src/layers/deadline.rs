//! How long to wait, by the surface's kind. No exchange is limited as a whole: what is limited is
//! the time since the client last sent something.

use std::{pin::pin, sync::Arc};

use gateway_n8n::Lifetime;
use tokio::time::{Instant, sleep_until};
use tower::{Layer, layer::layer_fn};

use super::Permitted;
use crate::{Failure, Fault, Guarded, Serve};

#[derive(Debug)]
pub(crate) struct Deadline<S> {
    inner: S,
}

impl<S> Deadline<S> {
    pub(crate) fn layer() -> impl Layer<S, Service = Self> {
        layer_fn(|inner| Self { inner })
    }
}

impl<B, S> Serve<Permitted<B>> for Deadline<S>
where
    B: Send + 'static,
    S: Serve<Permitted<Guarded<B>>, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    async fn serve(&self, permitted: Permitted<B>) -> Result<S::Response, Failure> {
        let exchange = Arc::clone(permitted.exchange());
        let timeouts = exchange.rules.timeouts;
        let limit = match permitted.permit().lifetime() {
            Lifetime::Exchange => timeouts.answer,
            Lifetime::Stream | Lifetime::Upgrade => timeouts.stream,
        };
        let guarded = permitted.map(|body, permit, exchange| {
            Guarded::new(body, permit.body_limit(), timeouts.body, Arc::clone(exchange))
        });
        let mut answer = pin!(self.inner.serve(guarded));
        loop {
            let deadline = exchange.last_progress() + limit;
            tokio::select! {
                answer = answer.as_mut() => return answer,
                () = sleep_until(deadline) => {}
            }
            if exchange.last_progress() + limit <= Instant::now() {
                return Err(Failure::Faulty(Fault::Timeout, "no answer in time".into()));
            }
        }
    }
}
