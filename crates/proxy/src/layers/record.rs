//! The access record: begun here, written when the last holder of the exchange lets go.

use std::sync::Arc;

use futures_util::FutureExt;
use gateway_telemetry::Telemetry;
use http::Response;
use tower::{Layer, layer::layer_fn};

use super::{Arrival, Recorded};
use crate::{Answer, Exchange, Live, Serve};

#[derive(Debug)]
pub(crate) struct Record<S> {
    rules: Live,
    telemetry: Telemetry,
    inner: S,
}

impl<S> Record<S> {
    pub(crate) fn layer(rules: Live, telemetry: Telemetry) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { rules: rules.clone(), telemetry: telemetry.clone(), inner })
    }
}

impl<B, S> Serve<Arrival<B>> for Record<S>
where
    B: Send + 'static,
    S: Serve<Recorded<B>, Response = Response<Answer>>,
{
    type Response = Response<Answer>;
    type Error = S::Error;

    fn serve(
        &self,
        arrival: Arrival<B>,
    ) -> impl Future<Output = Result<Response<Answer>, S::Error>> + Send {
        let Arrival { request, connection, held, unfit } = arrival;
        let rules = Arc::clone(&self.rules.borrow());
        let exchange = Exchange::begin(&request, connection, held, rules, self.telemetry.clone());
        // There is nothing to ask about: whoever would decide refuses it for this.
        if let Some(reason) = unfit {
            exchange.cut(reason);
        }
        let recorded = Recorded { request, exchange: Arc::clone(&exchange) };
        self.inner.serve(recorded).map(move |response| {
            if let Ok(response) = &response {
                exchange.answered(response.status());
            }
            response
        })
    }
}
