//! Webhooks: whether a call is from whoever shares a secret, and comes for the first time.

use std::time::Duration;

use gateway_policy::{Arrival, Asked, Mode, Permit, Reason, Refusal, Source, Webhook};
use gateway_signatures::{Proof, Proven, Unproven};
use gateway_telemetry::WebhookRefused;
use http::{Request, StatusCode};

use super::super::budget::would_refuse;
use crate::{Exchange, Failure, Message, Warden};

/// How much of the body has to be read, in bytes, if it is signed.
pub(super) fn limit(permit: &Permit) -> Option<usize> {
    let (webhook, _) = permit.webhook()?;
    webhook.proof.as_ref().filter(|it| it.reads_body)?;
    let limit = webhook.size.unwrap_or_else(|| permit.body_limit());
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A signed message that is on its way to n8n. It was taken once n8n has answered so; whatever else
/// becomes of the call, its client's leaving among it, the message may come again: its sender was not told
/// that it was taken, and sends it anew.
#[derive(Debug)]
pub(super) struct UnderWay<W: Warden> {
    warden: W,
    message: Option<Message>,
    once: Duration,
}

impl<W: Warden> UnderWay<W> {
    /// Takes down what n8n has answered.
    pub(super) fn answered(mut self, status: StatusCode) {
        if (status.is_success() || status.is_redirection())
            && let Some(message) = self.message.take()
        {
            self.warden.took(&message, self.once);
        }
    }
}

impl<W: Warden> Drop for UnderWay<W> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.warden.not_taken(&message);
        }
    }
}

/// Checks what the head alone has to show.
pub(super) fn ask_head<W: Warden, B>(
    warden: &W,
    permit: &Permit,
    request: &Request<B>,
    exchange: &Exchange,
) -> Result<(), Failure> {
    match asked(permit) {
        Some((asked, webhook, source)) if !asked.reads_body => {
            // One message cannot be told from another by it.
            Call { asked, webhook, source, permit, exchange }.check(warden, request, b"").map(drop)
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks what is shown of the body as well.
pub(super) fn ask<W: Warden, B>(
    warden: &W,
    permit: &Permit,
    request: &Request<B>,
    body: &[u8],
    exchange: &Exchange,
) -> Result<Option<UnderWay<W>>, Failure> {
    match asked(permit) {
        Some((asked, webhook, source)) if asked.reads_body => {
            Call { asked, webhook, source, permit, exchange }.check(warden, request, body)
        }
        Some(_) | None => Ok(None),
    }
}

fn asked(permit: &Permit) -> Option<(&Asked, &Webhook, Source)> {
    let (webhook, source) = permit.webhook()?;
    Some((webhook.proof.as_ref()?, webhook, source))
}

/// A call of which something is asked.
struct Call<'c> {
    asked: &'c Asked,
    webhook: &'c Webhook,
    source: Source,
    permit: &'c Permit,
    exchange: &'c Exchange,
}

impl Call<'_> {
    fn check<W: Warden, B>(
        &self,
        warden: &W,
        request: &Request<B>,
        body: &[u8],
    ) -> Result<Option<UnderWay<W>>, Failure> {
        let refuse = |reason, why: &str| self.refuse(reason, why).map(|()| None);
        if self.webhook.size.is_some_and(|it| u64::try_from(body.len()).is_ok_and(|n| n > it)) {
            return refuse(Reason::BodyTooLarge, "it is too large");
        }
        // The policy numbers what the rules hold: both come of one file.
        let Some(proof) = self.exchange.rules.proofs.get(self.asked.proof) else {
            return refuse(Reason::Signature, "nothing is known of it");
        };
        match self.prove(proof, request, body, warden.now().0) {
            Ok(proven) => self.take(warden, proven),
            Err(why) => {
                let challenge = proof.challenge();
                if let Some(challenge) = challenge {
                    self.exchange.asks_for(challenge);
                }
                let reason = challenge.map_or(Reason::Signature, |_| Reason::Credentials);
                refuse(reason, &why.to_string())
            }
        }
    }

    fn prove<B>(
        &self,
        proof: &Proof,
        request: &Request<B>,
        body: &[u8],
        now: i64,
    ) -> Result<Proven, Unproven> {
        let message = gateway_signatures::Message {
            headers: request.headers(),
            authority: self.permit.authority().to_str().unwrap_or_default(),
            target: request.uri().path_and_query().map_or("/", |it| it.as_str()),
            body,
        };
        proof.check(&message, now)
    }

    /// Lets a call pass that has shown what it is asked for, once.
    fn take<W: Warden>(&self, warden: &W, proven: Proven) -> Result<Option<UnderWay<W>>, Failure> {
        let mut under_way = None;
        if let Some(once) = self.asked.once {
            let message = (self.webhook.path.clone(), proven.fingerprint);
            let arrival = warden.arrives(&message);
            if let Some(reason) = arrival.refused() {
                let why = match arrival {
                    Arrival::UnderWay => "it is under way",
                    Arrival::First | Arrival::Again => "it was taken before",
                };
                return self.refuse(reason, why).map(|()| None);
            }
            under_way = Some(UnderWay { warden: warden.clone(), message: Some(message), once });
        }
        self.exchange.proved();
        self.exchange.telemetry().metrics.webhook(&self.webhook.name, "accepted");
        Ok(under_way)
    }

    fn refuse(&self, reason: Reason, why: &str) -> Result<(), Failure> {
        let (exchange, name) = (self.exchange, &self.webhook.name);
        if exchange.rules.policy.mode == Mode::DryRun {
            exchange.telemetry().metrics.webhook(name, "would_refuse");
            would_refuse(exchange, reason, Some(format!("{name}: {why}")));
            return Ok(());
        }
        exchange.telemetry().say(&WebhookRefused {
            request_id: exchange.id().to_string(),
            client: exchange.client().address,
            webhook: name.to_string(),
            asked: self.asked.name,
            because: why.to_owned(),
        });
        Err(Refusal::new(reason, Some(self.permit.surface()), Some(self.source)).into())
    }
}
