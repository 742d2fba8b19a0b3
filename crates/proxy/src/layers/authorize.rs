//! The policy is asked; what passes is [`Permitted`], and nothing else can make one.

use std::sync::Arc;

use gateway_policy::{Login, Permit, Question, Reason, Refusal, ShownKey, Windows};
use gateway_telemetry::AttackOutcome;
use http::{HeaderMap, Request};
use tokio::sync::watch;
use tower::{Layer, layer::layer_fn};

use super::{Identified, budget::would_refuse, inspect::attack::tell};
use crate::{Exchange, Failure, Serve, Warden, keys::Keys, serve::go_on, signed::Signed};

#[derive(Debug)]
pub(crate) struct Authorize<W, S> {
    warden: W,
    windows: watch::Receiver<Arc<Windows>>,
    inner: S,
}

impl<W: Warden, S> Authorize<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| {
            let (warden, windows) = (warden.clone(), warden.windows());
            Self { warden, windows, inner }
        })
    }

    /// Who is let in now whatever the policy says. On most days nobody is, and nobody looks at a clock.
    fn windows(&self) -> Option<Windows> {
        let windows = self.windows.borrow();
        (!windows.is_empty()).then(|| windows.at(self.warden.now()))
    }
}

/// A request that may pass.
#[derive(Debug)]
pub struct Permitted<B> {
    request: Request<B>,
    permit: Permit,
    exchange: Arc<Exchange>,
}

impl<B> Permitted<B> {
    /// The request, to be changed by what is known of it.
    pub fn parts_mut(&mut self) -> (&mut Request<B>, &Permit, &Exchange) {
        (&mut self.request, &self.permit, &self.exchange)
    }

    /// What stands in its head.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// How it may pass.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// What is shared about it.
    #[must_use]
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The same request with another body.
    pub fn map<C>(self, map: impl FnOnce(B, &Permit, &Arc<Exchange>) -> C) -> Permitted<C> {
        let Self { request, permit, exchange } = self;
        let request = request.map(|body| map(body, &permit, &exchange));
        Permitted { request, permit, exchange }
    }

    /// Takes it apart.
    #[must_use]
    pub fn into_parts(self) -> (Request<B>, Permit, Arc<Exchange>) {
        (self.request, self.permit, self.exchange)
    }
}

impl<B, W, S> Serve<Identified<B>> for Authorize<W, S>
where
    B: Send + 'static,
    W: Warden,
    S: Serve<Permitted<B>, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    fn serve(
        &self,
        identified: Identified<B>,
    ) -> impl Future<Output = Result<S::Response, Failure>> + Send {
        let windows = self.windows();
        let windows = windows.as_ref().unwrap_or(Windows::NONE);
        let decided = Permitted::decide(identified, &self.warden, windows);
        go_on(decided, |permitted| self.inner.serve(permitted))
    }
}

/// Says which attack was stopped, if one was.
fn stopped(refusal: &Refusal, exchange: &Exchange) {
    if let Some(attack) = refusal.attack {
        exchange.located(refusal.surface);
        tell(exchange, attack, AttackOutcome::Blocked);
    }
}

/// Says which key was refused because of where it is used, if one was.
fn moved(refusal: &Refusal, keys: &Keys, exchange: &Exchange, warden: &impl Warden) {
    let elsewhere = |it: &&ShownKey| it.history.is_some_and(|it| it.elsewhere);
    let key = keys.shown.iter().find(elsewhere);
    if let (Reason::ApiKeyElsewhere, Some(key)) = (refusal.reason, key) {
        exchange.located(refusal.surface);
        warden.key_refused(key, &exchange.case(), &exchange.rules);
    }
}

impl<B> Permitted<B> {
    /// Asks the policy.
    fn decide(
        identified: Identified<B>,
        warden: &impl Warden,
        windows: &Windows,
    ) -> Result<Self, Failure> {
        let Identified { request, exchange, client } = identified;
        if let Some(reason) = exchange.was_cut() {
            // What is held against whom depends on what was asked for.
            let located = exchange.rules.policy.surfaces.locate(request.uri().path(), false);
            let surface = located.ok().map(|it| it.surface);
            return Err(Refusal::new(reason, surface, None).into());
        }
        let (head, body) = request.into_parts();
        let sni = exchange.connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let shown = exchange.connection.shown();
        let policy = &exchange.rules.policy;
        let signed = policy.accounts.ask_for_session().then(|| Signed::of(&head.headers, warden));
        let login = signed.as_ref().map(|it| it.login(client, &exchange.rules, warden));
        let keys = Keys::of(&head, client, &exchange.rules, warden);
        let login = Login { keys: &keys.shown, ..login.unwrap_or_default() };
        let question = Question { head: &head, sni, client, shown, login, windows };
        let decided = policy.decide(question);
        let permit = decided.inspect_err(|refusal| {
            stopped(refusal, &exchange);
            moved(refusal, &keys, &exchange, warden);
        })?;
        exchange.permitted(&permit);
        if let Some(signed) = signed {
            exchange.is_signed(Signed { void: permit.voids_session(), ..signed });
        }
        if !keys.shown.is_empty() {
            exchange.shows_keys(keys);
        }
        for attack in permit.attacks().iter().flat_map(|it| &it.reported) {
            tell(&exchange, *attack, AttackOutcome::Reported);
        }
        if let Some(would) = permit.would() {
            let rule = would.source.map(|source| source.to_string());
            if let Some(attack) = would.attack {
                tell(&exchange, attack, AttackOutcome::WouldBlock);
            }
            would_refuse(&exchange, would.reason, rule);
        }
        let request = Request::from_parts(head, body);
        Ok(Self { request, permit, exchange })
    }
}
