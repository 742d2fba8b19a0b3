//! What was refused and what n8n answered becomes an offence, or a success, for the warden.
//!
//! n8n's answer is read as it passes: nothing waits for it but its own last bytes.

use std::sync::Arc;

use futures_util::FutureExt;
use gateway_n8n::{Attempt, Located, Outcome, claims, given_session, took_key};
use http::{HeaderMap, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use tower::{Layer, layer::layer_fn};

use super::{Identified, device};
use crate::{Answer, Called, Exchange, Failure, Serve, Warden, body::Tap, exchange::Answered};

#[derive(Debug)]
pub(crate) struct Witness<W, S> {
    warden: W,
    inner: S,
}

impl<W: Warden, S> Witness<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { warden: warden.clone(), inner })
    }

    /// Takes down what n8n made of an attempt: at once where its status tells, else when its
    /// body has passed.
    fn attempted(
        &self,
        attempt: Attempt,
        response: Response<Answer>,
        exchange: &Arc<Exchange>,
    ) -> Response<Answer> {
        let (mut head, body) = response.into_parts();
        let (status, warden) = (head.status, self.warden.clone());
        if attempt.needs_body(status) {
            let exchange = Arc::clone(exchange);
            let tap = Tap::new(move |body| {
                let outcome = outcome(attempt, status, &HeaderMap::new(), body);
                warden.attempted(&exchange.case(), outcome, None, &exchange.rules);
            });
            return Response::from_parts(head, body.tapped(tap));
        }
        let outcome = outcome(attempt, status, &head.headers, b"");
        let device = exchange.device();
        let signed = warden.attempted(&exchange.case(), outcome, device, &exchange.rules);
        if let (Attempt::SignIn, Some(account)) = (attempt, exchange.case().account)
            && let Some(claims) = given_session(&head.headers).and_then(claims)
        {
            warden.is_user(&claims.user, account);
        }
        if let Some(cookie) = signed.as_ref().and_then(device::set_cookie) {
            head.headers.append(header::SET_COOKIE, cookie);
        }
        Response::from_parts(head, body)
    }
}

fn outcome(attempt: Attempt, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let body = &*String::from_utf8_lossy(body);
    attempt.outcome(gateway_n8n::Answered { status, headers, body })
}

impl<B, W, S> Serve<Identified<B>> for Witness<W, S>
where
    B: Send + 'static,
    W: Warden,
    S: Serve<Identified<B>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Failure;

    fn serve(
        &self,
        identified: Identified<B>,
    ) -> impl Future<Output = Result<Response<Answer>, Failure>> + Send {
        let exchange = Arc::clone(&identified.exchange);
        self.inner.serve(identified).map(move |served| self.served(served, &exchange))
    }
}

impl<W: Warden, S> Witness<W, S> {
    /// Takes down what n8n made of the session that was shown, and the one that it gives.
    fn follow(&self, response: &Response<Answer>, exchange: &Exchange) {
        let Some(signed) = exchange.signed() else { return };
        let (rules, status) = (&exchange.rules, response.status());
        if !rules.policy.accounts.follow_sessions() || status.is_client_error() {
            return;
        }
        let case = exchange.case();
        let shown = signed.session.claims().filter(|_| !signed.void);
        if let Some(claims) = shown {
            let took = exchange.shows_session(status);
            self.warden.session_used(signed.token, claims, took, &case, rules);
        }
        if let Some(token) = given_session(response.headers())
            && let Some(claims) = claims(token)
        {
            let signs_in = case.attempt.is_some_and(|it| it != Attempt::SecondFactor);
            let before = shown.filter(|_| !signs_in).map(|claims| (signed.token, claims));
            let token = self.warden.session(token);
            self.warden.session_given(token, &claims, before, &case, rules);
        }
    }

    /// Takes down what n8n made of the API keys that were shown.
    fn follow_keys(&self, status: StatusCode, exchange: &Exchange) {
        let Some(keys) = exchange.keys().filter(|_| status != StatusCode::UNAUTHORIZED) else {
            return;
        };
        let (took, case) = (keys.could_show && took_key(status), exchange.case());
        for key in &keys.shown {
            self.warden.key_used(key, took, &case, &exchange.rules);
        }
    }

    /// Takes down what n8n made of the call of a webhook.
    fn called(&self, exchange: &Exchange) {
        let Some(Answered { method, path, status }) = exchange.call() else { return };
        let Ok(Located { tail, .. }) = exchange.rules.policy.surfaces.locate(path, false) else {
            return;
        };
        let root = path.trim_end_matches('/').strip_suffix(tail).unwrap_or_default();
        self.warden.called(&Called {
            root: &root.to_ascii_lowercase(),
            tail: &percent_decode_str(tail).decode_utf8_lossy(),
            method,
            status,
            client: exchange.client(),
            signed: exchange.is_proven(),
        });
    }

    /// Takes down how a request ended.
    fn served(
        &self,
        served: Result<Response<Answer>, Failure>,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<Answer>, Failure> {
        let refusal = served.as_ref().err().and_then(Failure::refusal);
        let refused = refusal.and_then(|refusal| refusal.offence);
        // What the path alone tells weighs more than what it was refused for.
        let offence = exchange.offence().or(refused);
        if let Some(offence) = offence {
            let mut case = exchange.case();
            if let Some(refusal) = refusal {
                case.surface = refusal.surface.or(case.surface);
            }
            self.warden.offended(&case, offence, &exchange.rules);
        }
        self.called(exchange);
        let response = served?;
        if exchange.shows_session(response.status()) {
            self.warden.has_session(exchange.client(), &exchange.rules);
        }
        if exchange.is_webhook() && response.status().is_success() {
            self.warden.sends(exchange.client());
        }
        self.follow(&response, exchange);
        self.follow_keys(response.status(), exchange);
        Ok(match exchange.case().attempt {
            Some(attempt) => self.attempted(attempt, response, exchange),
            None => response,
        })
    }
}
