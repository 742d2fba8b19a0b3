//! A client that is banned goes no further. Whoever comes straight to the gateway is dropped
//! before this, when it connects; this is for those behind a trusted proxy, and for connections
//! that are older than the ban.

use futures_util::{FutureExt, future::Either};
use gateway_policy::Reason;
use tower::{Layer, layer::layer_fn};

use super::Identified;
use crate::{Failure, Serve, Warden};

#[derive(Debug)]
pub(crate) struct Ban<W, S> {
    warden: W,
    inner: S,
}

impl<W: Warden, S> Ban<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { warden: warden.clone(), inner })
    }
}

impl<B, W, S> Serve<Identified<B>> for Ban<W, S>
where
    B: Send + 'static,
    W: Warden,
    S: Serve<Identified<B>, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    fn serve(
        &self,
        identified: Identified<B>,
    ) -> impl Future<Output = Result<S::Response, Failure>> + Send {
        let exchange = &identified.exchange;
        let path = identified.request.uri().path();
        match self.warden.turns_away(&exchange.case(), path, &exchange.rules) {
            None => Either::Left(self.inner.serve(identified)),
            Some(durable) => Either::Right(durable.map(|()| Err(Reason::Banned.into()))),
        }
    }
}
