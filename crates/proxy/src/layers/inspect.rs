//! The bodies that are read before they are let through. A body that nobody asks about is passed on
//! as it comes; one that is asked about is read once, within a limit, and every question is asked of
//! the same bytes, which reach n8n as they came.

mod address;
pub(crate) mod attack;
mod form;
mod password;
mod read;
mod room;
mod webhook;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either as Way;
use http::header;
use http_body::Body;
use http_body_util::{Either, Full};
use tower::{Layer, layer::layer_fn};

use self::room::Room;
use super::Permitted;
use crate::{Failure, Guarded, Serve, Warden};

/// A body that was read whole, or one on its way.
pub(crate) type Inspected<B> = Either<Full<Bytes>, Guarded<B>>;

#[derive(Debug)]
pub(crate) struct Inspect<W, S> {
    warden: W,
    room: Arc<Room>,
    inner: S,
}

impl<W: Warden, S> Inspect<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        let room = Room::shared();
        layer_fn(move |inner| Self { warden: warden.clone(), room: Arc::clone(&room), inner })
    }
}

impl<B, W, S> Serve<Permitted<Guarded<B>>> for Inspect<W, S>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
    W: Warden,
    S: Serve<Permitted<Inspected<B>>, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    fn serve(
        &self,
        permitted: Permitted<Guarded<B>>,
    ) -> impl Future<Output = Result<S::Response, Failure>> + Send {
        if permitted.permit().is_asked_about() {
            // Boxed: it is rare, and every other request would have to be as large.
            Way::Right(Box::pin(self.inspect(permitted)))
        } else {
            Way::Left(self.inner.serve(permitted.map(|body, _, _| Either::Right(body))))
        }
    }
}

impl<W: Warden, S> Inspect<W, S> {
    async fn inspect<B>(&self, mut permitted: Permitted<Guarded<B>>) -> Result<S::Response, Failure>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + Unpin
            + 'static,
        S: Serve<Permitted<Inspected<B>>, Error = Failure>,
    {
        let (request, permit, exchange) = permitted.parts_mut();
        if let Some(attempt) = permit.attempt() {
            // So that the answer can be read on its way back.
            request.headers_mut().remove(header::ACCEPT_ENCODING);
            form::key(&self.warden, attempt, request.headers(), exchange);
        }
        webhook::ask_head(&self.warden, permit, request, exchange)?;
        // How much is read at most of what anybody asks about.
        let limits = [
            form::limit(permit),
            password::limit(permit),
            address::limit(permit),
            webhook::limit(permit, request.headers(), exchange),
            attack::limit(permit, request.headers(), exchange),
        ];
        let limit = limits.into_iter().flatten().max();
        let watch = attack::Watch::of(permit, request.headers());
        let mut permitted = permitted.map(|body, _, _| body.watched(watch));
        let Some(limit) = limit else {
            return self.inner.serve(permitted.map(|body, _, _| Either::Right(body))).await;
        };
        let (request, permit, exchange) = permitted.parts_mut();
        let body = read::whole(request.body_mut(), limit, &self.room, exchange).await?;
        form::ask(&self.warden, permit, request.headers(), &body, exchange)?;
        webhook::ask(&self.warden, permit, request, &body, exchange)?;
        attack::ask(permit, request.headers(), &body, exchange).await?;
        address::ask(permit, request.headers(), &body, exchange)?;
        password::ask(&self.warden, permit, request.headers(), &body, exchange).await?;
        self.inner.serve(permitted.map(|_, _, _| Either::Left(Full::new(body)))).await
    }
}
