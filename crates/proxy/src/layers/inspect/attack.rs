//! Known attacks: what a request's head told, and what is in its body. What n8n reads whole is read
//! whole; forms with files are looked through as they pass, so that an attack in one is cut off
//! before n8n has all of it, and does nothing with it.

use std::panic::resume_unwind;

use bytes::Bytes;
use gateway_n8n::attacks::{Manner, Multipart, Unreadable, found_in, manner};
use gateway_policy::{AttackId, Permit, Reaction, Reason, Suspected, Watched};
use gateway_telemetry::{AttackFound, AttackOutcome};
use http::{HeaderMap, header};
use tokio::task::spawn_blocking;

use super::{
    super::budget::{is_dry, would_refuse},
    form,
};
use crate::{Exchange, Failure};

/// The largest body, in bytes, that is read between two other things: it takes a millisecond or two.
const SMALL: usize = 128 * 1024;

/// Says that an attack was found.
pub(in crate::layers) fn tell(exchange: &Exchange, attack: AttackId, outcome: AttackOutcome) {
    let Some(known) = exchange.rules.policy.attacks.get(attack) else { return };
    exchange.telemetry().say(&AttackFound {
        request_id: exchange.id().to_string(),
        client: exchange.client().address,
        surface: exchange.surface().map(gateway_n8n::Surface::name),
        attack: known.entry.id.to_string(),
        outcome,
        rule: known.source.to_string(),
    });
}

/// What is asked of the body, if anything is and it is to be read in this manner.
fn asked<'p>(permit: &'p Permit, headers: &HeaderMap, how: Manner) -> Option<&'p Suspected> {
    let asked = permit.attacks().filter(|it| !it.asked.is_empty())?;
    let shapes = asked.asked.iter().filter_map(Watched::shape);
    (manner(headers, shapes) == how).then_some(asked)
}

fn is_stopped(asked: &[Watched], exchange: &Exchange) -> bool {
    asked.iter().any(|it| it.reaction == Reaction::Block) && !is_dry(&exchange.rules)
}

/// How much of the body has to be read, in bytes, if an attack could be in it.
pub(super) fn limit(permit: &Permit, headers: &HeaderMap, exchange: &Exchange) -> Option<usize> {
    let Suspected { asked, body_limit, .. } = asked(permit, headers, Manner::Whole)?;
    // A form to sign in with has a limit of its own, whatever else is asked of it.
    if let Some(form) = form::limit(permit) {
        return Some(form);
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    // What is only told of is not refused for being too large to look at.
    let told = length.is_some_and(|it| it > *body_limit) && !is_stopped(asked, exchange);
    (!told).then_some(*body_limit)
}

/// Holds a body that was read whole against what is known.
pub(super) async fn ask(
    permit: &Permit,
    headers: &HeaderMap,
    body: &Bytes,
    exchange: &Exchange,
) -> Result<(), Failure> {
    let Some(suspected) = asked(permit, headers, Manner::Whole) else { return Ok(()) };
    let Suspected { asked, body_limit, .. } = suspected;
    match look(asked, headers, body, *body_limit).await {
        Ok(found) => found.into_iter().filter_map(|at| asked.get(at)).try_for_each(|it| {
            let stopped = found_one(it, exchange);
            stopped.map_or(Ok(()), |refusal| Err(refusal.into()))
        }),
        Err(why) => unreadable(asked, why, exchange),
    }
}

/// Reads a body; one that takes its time is read where it keeps no other request waiting.
async fn look(
    asked: &[Watched],
    headers: &HeaderMap,
    body: &Bytes,
    limit: usize,
) -> Result<Vec<usize>, Unreadable> {
    let look = move |asked: &[Watched], headers: &HeaderMap, body: &[u8]| {
        found_in(asked.iter().filter_map(Watched::shape), headers, body, limit)
    };
    if body.len() <= SMALL && !headers.contains_key(header::CONTENT_ENCODING) {
        return look(asked, headers, body);
    }
    let (asked, headers, body) = (asked.to_vec(), headers.clone(), body.clone());
    let read = spawn_blocking(move || look(&asked, &headers, &body)).await;
    read.unwrap_or_else(|why| match why.try_into_panic() {
        // A bug costs this request, as it would have here.
        Ok(panic) => resume_unwind(panic),
        // The gateway stops.
        Err(_) => Err(Unreadable::Size),
    })
}

/// Says what was found, and gives the refusal if it is stopped.
fn found_one(found: &Watched, exchange: &Exchange) -> Option<gateway_policy::Refusal> {
    let surface = exchange.surface()?;
    let refusal = exchange.rules.policy.attacks.refusal(found, surface);
    exchange.suspects(found.offence);
    match (found.reaction, is_dry(&exchange.rules)) {
        (Reaction::Report, _) => tell(exchange, found.attack, AttackOutcome::Reported),
        (Reaction::Block, true) => {
            tell(exchange, found.attack, AttackOutcome::WouldBlock);
            let rule = refusal.source.map(|source| source.to_string());
            would_refuse(exchange, refusal.reason, rule);
        }
        (Reaction::Block, false) => {
            tell(exchange, found.attack, AttackOutcome::Blocked);
            return Some(refusal);
        }
    }
    None
}

/// What n8n could read something in that is not read here does not pass where an attack would be
/// stopped.
fn unreadable(asked: &[Watched], why: Unreadable, exchange: &Exchange) -> Result<(), Failure> {
    tracing::debug!(%why, "body");
    let reason = match why {
        Unreadable::Size => Reason::BodyTooLarge,
        Unreadable::Charset
        | Unreadable::Encoding
        | Unreadable::Depth
        | Unreadable::Xml
        | Unreadable::Parts => Reason::UnreadableBody,
    };
    if is_stopped(asked, exchange) {
        return Err(reason.into());
    }
    if asked.iter().any(|it| it.reaction == Reaction::Block) {
        would_refuse(exchange, reason, Some(why.to_string()));
    }
    Ok(())
}

/// Looks through a form as it passes.
#[derive(Debug)]
pub(crate) struct Watch {
    reader: Multipart,
    asked: Vec<Watched>,
    told: usize,
}

impl Watch {
    /// For a form in which an attack could be.
    pub(super) fn of(permit: &Permit, headers: &HeaderMap) -> Option<Self> {
        let asked = asked(permit, headers, Manner::Passing)?.asked.clone();
        let reader = Multipart::new(headers, asked.iter().filter_map(Watched::shape))?;
        // Values that are only told of are no reason to refuse a long form.
        let stops = asked.iter().filter(|it| it.reaction == Reaction::Block);
        let strict = Multipart::asks_for_values(stops.filter_map(Watched::shape));
        let reader = if strict { reader } else { reader.leniently() };
        Some(Self { reader, asked, told: 0 })
    }

    /// Looks at the next bytes of the form; gives why they must not pass, if so.
    pub(crate) fn see(&mut self, data: &[u8], exchange: &Exchange) -> Result<(), Reason> {
        let Self { reader, asked, told } = self;
        let found = match reader.take(data) {
            Ok(found) => found,
            Err(why) => {
                let refused = unreadable(asked, why, exchange);
                // It is not looked at again.
                asked.clear();
                return match refused {
                    Err(Failure::Refused(refusal) | Failure::Explained(refusal, _)) => {
                        Err(refusal.reason)
                    }
                    Err(Failure::Limited(..) | Failure::Faulty(..)) | Ok(()) => Ok(()),
                };
            }
        };
        let new = found.get(*told..).unwrap_or_default();
        *told = found.len();
        let stopped = new.iter().filter_map(|at| asked.get(*at));
        let stopped = stopped.filter_map(|it| found_one(it, exchange)).last();
        stopped.map_or(Ok(()), |refusal| Err(refusal.reason))
    }
}
