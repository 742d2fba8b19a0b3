//! The budget: how often what may be asked. Accounts are charged later, when the form has been
//! read.

use gateway_policy::{Limit, Mode, Per, Reason, Refusal};
use gateway_telemetry::WouldRefuse;
use tower::{Layer, layer::layer_fn};

use super::{Permitted, device};
use crate::{Exchange, Failure, Rules, Serve, Warden, Whose, failure::Spent, serve::go_on};

#[derive(Debug)]
pub(crate) struct Budget<W, S> {
    warden: W,
    inner: S,
}

impl<W: Warden, S> Budget<W, S> {
    pub(crate) fn layer(warden: W) -> impl Layer<S, Service = Self> {
        layer_fn(move |inner| Self { warden: warden.clone(), inner })
    }
}

impl<B, W, S> Serve<Permitted<B>> for Budget<W, S>
where
    B: Send + 'static,
    W: Warden,
    S: Serve<Permitted<B>, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    fn serve(
        &self,
        permitted: Permitted<B>,
    ) -> impl Future<Output = Result<S::Response, Failure>> + Send {
        go_on(self.charge(&permitted), |()| self.inner.serve(permitted))
    }
}

impl<W: Warden, S> Budget<W, S> {
    /// Charges a request to each of its limits but those of accounts.
    fn charge<B>(&self, permitted: &Permitted<B>) -> Result<(), Failure> {
        let (permit, exchange) = (permitted.permit(), permitted.exchange());
        let client = permit.client();
        for limit in permit.limits().iter() {
            let whose = match limit.per {
                Per::Client => Whose::Client(client.key),
                Per::Path => Whose::Path(permit.path_key().unwrap_or_default()),
                Per::All => Whose::All,
                Per::Account | Per::Key => continue,
            };
            let known = || {
                let device = device::cookie(permitted.headers());
                self.warden.knows(client, device.as_ref(), None, &exchange.rules)
            };
            let known = if limit.strangers { known() } else { None };
            let whose = known.map_or(whose, |by| Whose::Known(None, by));
            charge(&self.warden, limit, whose, exchange)?;
        }
        for (limit, key) in permit.charges() {
            charge(&self.warden, limit, Whose::Key(*key), exchange)?;
        }
        Ok(())
    }
}

/// Charges a request to a limit.
///
/// # Errors
///
/// The refusal, unless the limit only tells.
pub(super) fn charge(
    warden: &impl Warden,
    limit: &Limit,
    whose: Whose<'_>,
    exchange: &Exchange,
) -> Result<(), Failure> {
    let told = |outcome| exchange.telemetry().metrics.rate_limited(&limit.name, outcome);
    let Err(wait) = warden.charge(limit, whose) else {
        told("allowed");
        return Ok(());
    };
    let reason = if limit.strangers { Reason::SignInLimited } else { Reason::RateLimited };
    if limit.dry_run || is_dry(&exchange.rules) {
        told("would_refuse");
        would_refuse(exchange, reason, Some(limit.name.to_string()));
        exchange.suspects(reason.offence(exchange.surface()).filter(|_| !limit.dry_run));
        return Ok(());
    }
    told("refused");
    let refusal = Refusal::new(reason, exchange.surface(), Some(limit.source));
    Err(Failure::Limited(refusal, Spent { limit: limit.clone(), wait }))
}

pub(crate) fn is_dry(rules: &Rules) -> bool {
    rules.policy.mode == Mode::DryRun
}

/// Says what a dry run lets pass.
pub(crate) fn would_refuse(exchange: &Exchange, reason: Reason, rule: Option<String>) {
    exchange.spared(reason, rule.clone());
    exchange.telemetry().say(&WouldRefuse {
        request_id: exchange.id().to_string(),
        client: exchange.client().address,
        surface: exchange.surface().map(gateway_n8n::Surface::name),
        reason,
        rule,
    });
}
