//! Webhooks: whether a call is from whoever shares a secret, and comes for the first time.

use gateway_policy::{Asked, Mode, Permit, Reason, Refusal, Source, Webhook};
use gateway_signatures::{Message, Proof, Proven, Unproven};
use gateway_telemetry::WebhookRefused;
use http::{HeaderMap, Request, header};

use super::super::budget::would_refuse;
use crate::{Exchange, Failure, Warden};

/// The most that is read of a body in a dry run, in bytes: a policy's own sizes hold nobody up there.
const DRY: u64 = 16 << 20;

/// How much of the body has to be read, in bytes, if it is signed. In a dry run what says that it is
/// larger passes unread: that is told by its head.
pub(super) fn limit(permit: &Permit, headers: &HeaderMap, exchange: &Exchange) -> Option<usize> {
    let (webhook, _) = permit.webhook()?;
    webhook.proof.as_ref().filter(|it| it.reads_body)?;
    let limit = if exchange.rules.policy.mode == Mode::DryRun {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let most = webhook.size.unwrap_or(DRY).min(DRY);
        if length.is_some_and(|length| length > most) {
            return None;
        }
        DRY
    } else {
        webhook.size.unwrap_or_else(|| permit.body_limit())
    };
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
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
            Call { asked, webhook, source, permit, exchange }.check(warden, request, b"")
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
) -> Result<(), Failure> {
    match asked(permit) {
        Some((asked, webhook, source)) if asked.reads_body => {
            Call { asked, webhook, source, permit, exchange }.check(warden, request, body)
        }
        Some(_) | None => Ok(()),
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
    ) -> Result<(), Failure> {
        if self.webhook.size.is_some_and(|it| u64::try_from(body.len()).is_ok_and(|n| n > it)) {
            return self.refuse(Reason::BodyTooLarge, "it is too large");
        }
        // The policy numbers what the rules hold: both come of one file.
        let Some(proof) = self.exchange.rules.proofs.get(self.asked.proof) else {
            return self.refuse(Reason::Signature, "nothing is known of it");
        };
        match self.prove(proof, request, body, warden.now().0) {
            Ok(proven) => self.take(warden, proven),
            Err(why) => {
                let challenge = proof.challenge();
                if let Some(challenge) = challenge {
                    self.exchange.asks_for(challenge);
                }
                let reason = challenge.map_or(Reason::Signature, |_| Reason::Credentials);
                self.refuse(reason, &why.to_string())
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
        let message = Message {
            headers: request.headers(),
            authority: self.permit.authority().to_str().unwrap_or_default(),
            target: request.uri().path_and_query().map_or("/", |it| it.as_str()),
            body,
        };
        proof.check(&message, now)
    }

    /// Lets a call pass that has shown what it is asked for, once.
    fn take<W: Warden>(&self, warden: &W, proven: Proven) -> Result<(), Failure> {
        let Some(once) = self.asked.once else {
            self.passes(None);
            return Ok(());
        };
        let message = (self.webhook.path.clone(), proven.fingerprint);
        if !warden.is_first(&message, once) {
            return self.refuse(Reason::Replayed, "it was taken before");
        }
        self.passes(Some(message));
        Ok(())
    }

    fn passes(&self, message: Option<crate::Message>) {
        self.exchange.proved(message);
        self.exchange.telemetry().metrics.webhook(&self.webhook.name, "accepted");
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
