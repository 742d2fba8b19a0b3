//! Known attacks: what a request's head told, and what is in its body. What n8n reads whole is read
//! whole; forms with files are looked through as they pass, so that an attack in one is cut off
//! before n8n has all of it, and does nothing with it.

use std::{
    num::NonZero, panic::resume_unwind, sync::LazyLock, thread::available_parallelism,
    time::Duration,
};

use bytes::Bytes;
use gateway_n8n::attacks::{Manner, Multipart, Unreadable, found_in, manner};
use gateway_policy::{AttackId, Permit, Reaction, Reason, Refusal, Suspected, Watched};
use gateway_telemetry::{AttackFound, AttackOutcome};
use http::{HeaderMap, header};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    super::budget::{is_dry, would_refuse},
    form,
    read::Most,
    turns::Turns,
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
        advice: (!known.entry.told.is_empty()).then_some(known.entry.advice),
    });
}

/// What is asked of the body, if anything is and it is to be read in this manner.
fn asked<'p>(permit: &'p Permit, headers: &HeaderMap, how: Manner) -> Option<&'p Suspected> {
    let asked = permit.attacks().filter(|it| !it.asked.is_empty())?;
    let shapes = asked.asked.iter().filter_map(Watched::shape);
    (manner(headers, shapes) == how).then_some(asked)
}

/// The largest bodies that are read at once take this many threads: half of the machine stays for
/// everybody else, however small what is packed may be, and they hold so many times `max_body` at most.
static READERS: LazyLock<Turns> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(2, NonZero::get);
    Turns::new((cores / 2).max(1))
});

/// How long a body waits for its turn: many times what one takes.
const TURN: Duration = Duration::from_secs(10);

/// How much of the body has to be read, if an attack could be in it. What is only told of is not
/// refused for being too large to look at.
pub(super) fn limit(permit: &Permit, headers: &HeaderMap) -> Option<Most> {
    let Suspected { asked, body_limit, .. } = asked(permit, headers, Manner::Whole)?;
    // A form to sign in with has a limit of its own, whatever else is asked of it.
    let bytes = form::limit(permit).unwrap_or(*body_limit);
    Some(Most { bytes, strict: asked.iter().any(|it| it.strict) })
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
    match look(asked, headers, body, *body_limit, exchange).await? {
        Ok(found) => found.into_iter().filter_map(|at| asked.get(at)).try_for_each(|it| {
            let stopped = found_one(it, exchange);
            stopped.map_or(Ok(()), |refusal| Err(failure(refusal, exchange)))
        }),
        Err(why) => unreadable(asked, why, exchange),
    }
}

/// Reads a body; one that takes its time is read where it keeps no other request waiting, when it is its
/// turn.
async fn look(
    asked: &[Watched],
    headers: &HeaderMap,
    body: &Bytes,
    limit: usize,
    exchange: &Exchange,
) -> Result<Result<Vec<usize>, Unreadable>, Failure> {
    let look = move |asked: &[Watched], headers: &HeaderMap, body: &[u8]| {
        found_in(asked.iter().filter_map(Watched::shape), headers, body, limit)
    };
    if body.len() <= SMALL && !headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(look(asked, headers, body));
    }
    let Ok(Ok(turn)) = timeout(TURN, READERS.take(exchange.client().key)).await else {
        if asked.iter().all(|it| it.reaction == Reaction::Report) {
            // Nobody is kept out so that something could be told.
            tracing::debug!("a body is not looked at: too many wait");
            return Ok(Ok(Vec::new()));
        }
        if is_dry(&exchange.rules) {
            would_refuse(exchange, Reason::Overloaded, None);
            return Ok(Ok(Vec::new()));
        }
        return Err(Reason::Overloaded.into());
    };
    let (asked, headers, body) = (asked.to_vec(), headers.clone(), body.clone());
    let read = spawn_blocking(move || {
        // Until it is done, whether its client still waits or not.
        let _turn = turn;
        look(&asked, &headers, &body)
    });
    Ok(read.await.unwrap_or_else(|why| match why.try_into_panic() {
        // A bug costs this request, as it would have here.
        Ok(panic) => resume_unwind(panic),
        // The gateway stops.
        Err(_) => Err(Unreadable::Size),
    }))
}

/// Says what was found, and gives the refusal if it is stopped.
fn found_one(found: &Watched, exchange: &Exchange) -> Option<Refusal> {
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

/// The refusal, in words where it may meet somebody honest: n8n's editor shows them.
fn failure(refusal: Refusal, exchange: &Exchange) -> Failure {
    let known = refusal.attack.and_then(|it| exchange.rules.policy.attacks.get(it));
    match known.map(|it| it.entry.told).filter(|it| !it.is_empty()) {
        Some(told) => Failure::Explained(refusal, told.to_owned()),
        None => refusal.into(),
    }
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
    let raw = matches!(why, Unreadable::Size | Unreadable::Xml);
    let stopped = |it: &Watched| it.reaction == Reaction::Block && (it.strict || !raw);
    if !asked.iter().any(stopped) {
        return Ok(());
    }
    if is_dry(&exchange.rules) {
        would_refuse(exchange, reason, Some(why.to_string()));
        return Ok(());
    }
    Err(reason.into())
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
