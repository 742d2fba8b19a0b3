//! How long to wait, by the surface's kind. No exchange is limited as a whole: what is limited is
//! the time since the client last sent something.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use gateway_n8n::Lifetime;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, layer::layer_fn};

use super::Permitted;
use crate::{Exchange, Failure, Fault, Guarded, Serve};

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

    fn serve(
        &self,
        permitted: Permitted<B>,
    ) -> impl Future<Output = Result<S::Response, Failure>> + Send {
        let exchange = Arc::clone(permitted.exchange());
        let timeouts = exchange.rules.timeouts;
        let limit = match permitted.permit().lifetime() {
            Lifetime::Exchange => timeouts.answer,
            Lifetime::Stream | Lifetime::Upgrade => timeouts.stream,
        };
        let guarded = permitted.map(|body, permit, exchange| {
            Guarded::new(body, permit.body_limit(), timeouts.body, Arc::clone(exchange))
        });
        InTime { answer: self.inner.serve(guarded), limit, exchange, sleep: None }
    }
}

pin_project! {
    /// An answer, as long as the client is not waited for in vain.
    struct InTime<F> {
        #[pin]
        answer: F,
        limit: Duration,
        exchange: Arc<Exchange>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<T, F: Future<Output = Result<T, Failure>>> Future for InTime<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Poll::Ready(answer) = this.answer.poll(cx) {
            return Poll::Ready(answer);
        }
        loop {
            let deadline = this.exchange.last_progress() + *this.limit;
            match this.sleep.as_mut().as_pin_mut() {
                None => this.sleep.set(Some(sleep_until(deadline))),
                Some(mut sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    if deadline <= Instant::now() {
                        let why = "no answer in time".into();
                        return Poll::Ready(Err(Failure::Faulty(Fault::Timeout, why)));
                    }
                    sleep.reset(deadline);
                }
            }
        }
    }
}
