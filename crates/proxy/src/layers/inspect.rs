//! The bodies that are read before they are let through. A body that nobody asks about is passed on
//! as it comes; one that is asked about is read once, within a limit, and every question is asked of
//! the same bytes, which reach n8n as they came.

mod address;
pub(crate) mod attack;
mod form;
mod password;
mod read;
mod room;
mod turns;
mod webhook;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either as Way;
use gateway_policy::Permit;
use http::{HeaderMap, Response, header};
use http_body::Body;
use http_body_util::{Either, Full};
use tower::{Layer, layer::layer_fn};

use self::{read::Most, room::Room};
use super::{
    Permitted,
    budget::{is_dry, would_refuse},
};
use crate::{Answer, Failure, Guarded, Serve, Warden};

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
    S: Serve<Permitted<Inspected<B>>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Failure;

    fn serve(
        &self,
        permitted: Permitted<Guarded<B>>,
    ) -> impl Future<Output = Result<Response<Answer>, Failure>> + Send {
        if permitted.permit().is_asked_about() {
            // Boxed: it is rare, and every other request would have to be as large.
            Way::Right(Box::pin(self.inspect(permitted)))
        } else {
            Way::Left(self.inner.serve(permitted.map(|body, _, _| Either::Right(body))))
        }
    }
}

impl<W: Warden, S> Inspect<W, S> {
    async fn inspect<B>(
        &self,
        mut permitted: Permitted<Guarded<B>>,
    ) -> Result<Response<Answer>, Failure>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + Unpin
            + 'static,
        S: Serve<Permitted<Inspected<B>>, Response = Response<Answer>, Error = Failure>,
    {
        let (request, permit, exchange) = permitted.parts_mut();
        if let Some(attempt) = permit.attempt() {
            // So that the answer can be read on its way back.
            request.headers_mut().remove(header::ACCEPT_ENCODING);
            form::key(&self.warden, attempt, request.headers(), exchange);
        }
        webhook::ask_head(&self.warden, permit, request, exchange)?;
        let most = most(permit, request.headers());
        let watch = attack::Watch::of(permit, request.headers());
        let mut permitted = permitted.map(|body, _, _| body.watched(watch));
        let unread = |body, _: &_, _: &_| Either::Right(body);
        let Some(most) = most else { return self.inner.serve(permitted.map(unread)).await };
        let (request, permit, exchange) = permitted.parts_mut();
        // A dry run refuses nothing for being too large to look at.
        let dry = is_dry(&exchange.rules);
        let read = Most { strict: most.strict && !dry, ..most };
        let body = match read::whole(request.body_mut(), read, &self.room, exchange).await? {
            Ok(body) => body,
            Err(reason) => {
                if most.strict {
                    would_refuse(exchange, reason, None);
                }
                return self.inner.serve(permitted.map(unread)).await;
            }
        };
        form::ask(&self.warden, permit, request.headers(), &body, exchange)?;
        let under_way = webhook::ask(&self.warden, permit, request, &body, exchange)?;
        attack::ask(permit, request.headers(), &body, exchange).await?;
        address::ask(&self.warden, permit, request.headers(), &body, exchange)?;
        password::ask(&self.warden, permit, request.headers(), &body, exchange).await?;
        let permitted = permitted.map(|_, _, _| Either::Left(Full::new(body)));
        let response = self.inner.serve(permitted).await?;
        if let Some(under_way) = under_way {
            under_way.answered(response.status());
        }
        Ok(response)
    }
}

/// How much is read at most of what anybody asks about.
fn most(permit: &Permit, headers: &HeaderMap) -> Option<Most> {
    let limits = [
        form::limit(permit),
        password::limit(permit),
        address::limit(permit),
        webhook::limit(permit),
    ];
    let limits = limits.into_iter().flatten().map(|bytes| Most { bytes, strict: true });
    let all = limits.chain(attack::limit(permit, headers));
    all.reduce(|one, other| Most {
        bytes: one.bytes.max(other.bytes),
        strict: one.strict || other.strict,
    })
}
