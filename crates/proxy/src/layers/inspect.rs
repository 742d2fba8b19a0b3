//! The bodies that are read before they are let through: forms to sign in with. Whose account is
//! tried has a budget of its own, wherever it is tried from.

use bytes::Bytes;
use futures_util::future::Either as Way;
use gateway_n8n::{Attempt, FORM_LIMIT, account};
use gateway_policy::{Mode, Per, Reason};
use http::{Request, header};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full};
use tower::{Layer, layer::layer_fn};
use zeroize::Zeroizing;

use super::{
    Permitted,
    budget::{charge, would_refuse},
    device,
};
use crate::{Cut, Exchange, Failure, Guarded, Serve, Warden, Whose};

/// A body that was read whole, or one on its way.
pub(crate) type Inspected<B> = Either<Full<Bytes>, Guarded<B>>;

#[derive(Debug)]
pub(crate) struct Inspect<W, S> {
    warden: W,
    inner: S,
}

impl<W: Warden, S> Inspect<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { warden: warden.clone(), inner })
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
        match permitted.permit().attempt() {
            None => Way::Left(self.inner.serve(permitted.map(|body, _, _| Either::Right(body)))),
            // Boxed: it is rare, and every other request would have to be as large.
            Some(attempt) => Way::Right(Box::pin(self.inspect(attempt, permitted))),
        }
    }
}

impl<W: Warden, S> Inspect<W, S> {
    async fn inspect<B>(
        &self,
        attempt: Attempt,
        mut permitted: Permitted<Guarded<B>>,
    ) -> Result<S::Response, Failure>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + Unpin
            + 'static,
        S: Serve<Permitted<Inspected<B>>, Error = Failure>,
    {
        let (request, permit, exchange) = permitted.parts_mut();
        // So that the answer can be read on its way back.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        if let Some(key) = attempt.key_field().and_then(|field| request.headers().get(field)) {
            exchange.tries(self.warden.account(&String::from_utf8_lossy(key.as_bytes())), None);
        }
        let Some(field) = attempt.account_field() else {
            return self.inner.serve(permitted.map(|body, _, _| Either::Right(body))).await;
        };
        let form = read(request.body_mut(), exchange).await?;
        self.tried(attempt, field, request, &form, exchange)?;
        let limits = permit.limits().iter().filter(|limit| limit.per == Per::Account);
        let case = exchange.case();
        for (limit, account) in limits.zip(std::iter::repeat(case.account)) {
            let Some(account) = account else { continue };
            let whose = match case.known.filter(|_| limit.strangers) {
                Some(by) => Whose::Known(Some(account), by),
                None => Whose::Account(account),
            };
            charge(&self.warden, limit, whose, exchange)?;
        }
        self.inner.serve(permitted.map(|_, _, _| Either::Left(Full::new(form)))).await
    }

    /// Takes down whose account is tried, and whether whoever tries has signed in to it before.
    fn tried<B>(
        &self,
        attempt: Attempt,
        field: &'static str,
        request: &Request<B>,
        form: &[u8],
        exchange: &Exchange,
    ) -> Result<(), Failure> {
        let name = match account(request.headers(), form, field) {
            Ok(name) => name,
            Err(why) if exchange.rules.policy.mode == Mode::DryRun => {
                would_refuse(exchange, Reason::UnreadableForm, Some(why.to_string()));
                return Ok(());
            }
            Err(why) => {
                tracing::debug!(attempt = attempt.name(), %why, "form");
                return Err(Reason::UnreadableForm.into());
            }
        };
        let account = self.warden.account(name.expose());
        let device = device::cookie(request.headers());
        let client = exchange.client();
        let known = self.warden.knows(client, device.as_ref(), Some(account), &exchange.rules);
        exchange.tries(account, known);
        if let Some(device) = device {
            exchange.has_device(device);
        }
        Ok(())
    }
}

/// Reads a form to its end.
async fn read<B>(body: &mut Guarded<B>, exchange: &Exchange) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let mut form = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| match (why, exchange.was_cut()) {
            (Cut::Refused(reason), _) | (_, Some(reason)) => Failure::from(reason),
            (Cut::Silent | Cut::Broken(_), None) => Failure::from(Reason::BodyMalformed),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if form.len() + data.len() > FORM_LIMIT {
            return Err(Reason::BodyTooLarge.into());
        }
        form.extend_from_slice(&data);
    }
    Ok(Bytes::copy_from_slice(&form))
}
