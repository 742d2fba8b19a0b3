//! How much is done at once: when there is too much, strangers wait and whoever is known does not.

use gateway_policy::Reason;
use tower::{Layer, layer::layer_fn};

use super::{
    Identified,
    budget::{is_dry, would_refuse},
    device,
};
use crate::{Failure, Serve, Warden, serve::go_on};

#[derive(Debug)]
pub(crate) struct Admit<W, S> {
    warden: W,
    inner: S,
}

impl<W: Warden, S> Admit<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { warden: warden.clone(), inner })
    }
}

impl<B, W, S> Serve<Identified<B>> for Admit<W, S>
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
        go_on(self.place(&identified), |()| self.inner.serve(identified))
    }
}

impl<W: Warden, S> Admit<W, S> {
    fn place<B>(
        &self,
        Identified { request, exchange, client }: &Identified<B>,
    ) -> Result<(), Failure> {
        let shown = || device::cookie(request.headers());
        // It ends when the exchange does, and not when the answer begins.
        match self.warden.admit(*client, shown, &exchange.rules) {
            Ok(place) => exchange.has_place(place),
            Err(Reason::TooManyAtOnce) if is_dry(&exchange.rules) => {
                would_refuse(exchange, Reason::TooManyAtOnce, None);
            }
            Err(reason) => return Err(reason.into()),
        }
        Ok(())
    }
}
