//! Who asks.

use tower::{Layer, layer::layer_fn};

use super::{Identified, Recorded};
use crate::Serve;

#[derive(Debug)]
pub(crate) struct Identify<S> {
    inner: S,
}

impl<S> Identify<S> {
    pub(crate) fn layer() -> impl Layer<S, Service = Self> {
        layer_fn(|inner| Self { inner })
    }
}

impl<B: Send + 'static, S: Serve<Identified<B>>> Serve<Recorded<B>> for Identify<S> {
    type Response = S::Response;
    type Error = S::Error;

    fn serve(
        &self,
        recorded: Recorded<B>,
    ) -> impl Future<Output = Result<S::Response, S::Error>> + Send {
        let Recorded { request, exchange } = recorded;
        let clients = &exchange.rules.policy.clients;
        let client = clients.identify(exchange.connection.peer.ip(), request.headers());
        exchange.identified(client);
        self.inner.serve(Identified { request, exchange, client })
    }
}
