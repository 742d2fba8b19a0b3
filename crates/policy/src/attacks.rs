//! Known attacks: which of them are stopped here, and which are only told.

use std::sync::Arc;

use gateway_n8n::{
    Affected, Release, Surface,
    attacks::{Entry, Head, Likeness, Manner, Shape, manner, reads},
};

use crate::{Offence, Reason, Refusal, Source, Step, Steps};

/// What is to be done about an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttackMode {
    /// Nobody looks for it.
    Off,
    /// It is told.
    Report,
    /// It is stopped.
    Block,
    /// As this n8n's release asks for ([`Reaction::of`]).
    #[default]
    Auto,
}

/// What is done about an attack that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is told.
    Report,
    /// It is stopped.
    Block,
}

impl Reaction {
    /// What is done about the requests of `entry` while n8n is of this release; nothing if nobody
    /// looks for them.
    ///
    /// `auto` stops what this release has the flaw for, and tells the rest. But what honest requests
    /// look like is never stopped by itself, and told only where the flaw is; and while nobody knows
    /// the release, what honest requests never look like is stopped.
    #[must_use]
    pub fn of(mode: AttackMode, entry: &Entry, release: Option<Release>) -> Option<Self> {
        let flaw = entry.affected.as_ref().zip(release).map(|(all, it)| all.contains(it));
        match (mode, flaw, entry.likeness) {
            (AttackMode::Off, ..) => None,
            (AttackMode::Report, ..) => Some(Self::Report),
            (AttackMode::Block, ..)
            | (AttackMode::Auto, Some(true), Likeness::OnlyAttacks | Likeness::Seldom)
            | (AttackMode::Auto, None, Likeness::OnlyAttacks) => Some(Self::Block),
            (AttackMode::Auto, Some(true), Likeness::Often)
            | (AttackMode::Auto, Some(false), Likeness::OnlyAttacks | Likeness::Seldom)
            | (AttackMode::Auto, None, Likeness::Seldom) => Some(Self::Report),
            (AttackMode::Auto, Some(false) | None, Likeness::Often) => None,
        }
    }

    /// Its name in what is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Block => "block",
        }
    }
}

/// An attack that is known, and what the policy says of it.
#[derive(Clone, Debug)]
pub struct KnownAttack {
    /// What it is.
    pub entry: Arc<Entry>,
    /// What is to be done about it.
    pub mode: AttackMode,
    /// What of the policy says so.
    pub source: Source,
}

/// One of the attacks of a policy; [`Attacks::get`] knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttackId(u16);

/// The attacks that are looked for.
#[derive(Clone, Debug, Default)]
pub struct Attacks {
    known: Vec<KnownAttack>,
    release: Option<Release>,
    body_limit: usize,
    /// By surface, in the order of [`Surface::all`]: what is looked for there.
    watched: Vec<Vec<Watched>>,
}

/// A shape of requests that is looked for.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Whose it is.
    pub attack: AttackId,
    /// What is done about it.
    pub reaction: Reaction,
    /// What is held against whoever sends such a request.
    pub offence: Option<Offence>,
    /// Whether what is too large or too broken to be looked at is stopped for it: n8n reads no such thing,
    /// and hands it to workflows as the bytes it is (`webhooks/webhook-helpers.js`, `parseRequestBody`). So
    /// that is only where a flaw of n8n's is known to be behind it, or the operator says so.
    pub strict: bool,
    entry: Arc<Entry>,
    shape: usize,
}

impl Watched {
    /// What its requests look like.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.entry.shapes.get(self.shape)
    }
}

/// What was found in a request's head, and what is still to be looked for in its body.
#[derive(Clone, Debug, Default)]
pub struct Suspected {
    /// What was found, and is only told.
    pub reported: Vec<AttackId>,
    /// What is held against the client for that.
    pub offence: Option<Offence>,
    /// What its body is to be held against.
    pub asked: Vec<Watched>,
    /// The largest body in bytes, decoded, that is held against anything.
    pub body_limit: usize,
}

impl Attacks {
    /// These attacks, looked for in bodies of at most `body_limit` bytes, while nobody knows n8n's
    /// release.
    #[must_use]
    pub fn new(known: Vec<KnownAttack>, body_limit: usize) -> Self {
        Self { known, body_limit, ..Self::default() }.with_release(None)
    }

    /// The same for an n8n of this release.
    #[must_use]
    pub fn with_release(self, release: Option<Release>) -> Self {
        let mut watched: Vec<Vec<Watched>> = Surface::all().map(|_| Vec::new()).collect();
        for (at, KnownAttack { entry, mode, .. }) in (0..=u16::MAX).zip(&self.known) {
            let Some(reaction) = Reaction::of(*mode, entry, release) else { continue };
            let strict = reaction == Reaction::Block && is_strict(*mode, entry, release);
            for (shape, looks) in entry.shapes.iter().enumerate() {
                for surface in &looks.surfaces {
                    let offence = offence(*mode, reaction, entry, looks, *surface);
                    let (attack, entry) = (AttackId(at), Arc::clone(entry));
                    let found = Watched { attack, reaction, offence, strict, entry, shape };
                    if let Some(there) = watched.get_mut(*surface as usize) {
                        there.push(found);
                    }
                }
            }
        }
        // What is stopped counts more than what is told.
        watched.iter_mut().for_each(|all| all.sort_by_key(|it| it.reaction == Reaction::Report));
        Self { watched, release, ..self }
    }

    /// The release that n8n is of, as far as anybody knows.
    #[must_use]
    pub fn release(&self) -> Option<Release> {
        self.release
    }

    /// The largest body in bytes, decoded, that is held against them.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }

    /// Every attack that is known, with what is done about it.
    pub fn all(&self) -> impl Iterator<Item = (&KnownAttack, Option<Reaction>)> {
        self.known.iter().map(|it| (it, Reaction::of(it.mode, &it.entry, self.release)))
    }

    /// The attack of this id.
    #[must_use]
    pub fn get(&self, attack: AttackId) -> Option<&KnownAttack> {
        self.known.get(usize::from(attack.0))
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self, attack: AttackId) -> &str {
        self.get(attack).map_or("", |it| &it.entry.id)
    }

    /// What a request's head tells.
    ///
    /// # Errors
    ///
    /// The refusal, if it tells of an attack that is stopped.
    pub(crate) fn look(
        &self,
        head: &Head<'_>,
        steps: &mut impl Steps,
    ) -> Result<Option<Box<Suspected>>, Refusal> {
        let watched = self.watched.get(head.surface as usize).map_or(&[][..], Vec::as_slice);
        let readable = reads(head.headers);
        let (mut reported, mut offence, mut asked) = (Vec::new(), None, Vec::new());
        for it in watched {
            let Some(shape) = it.shape() else { continue };
            let in_body = !shape.body.is_empty();
            if (in_body && !readable) || !shape.fits(head) {
                continue;
            }
            if in_body {
                asked.push(it.clone());
                continue;
            }
            steps.note(|| self.step(it));
            match it.reaction {
                Reaction::Block => return Err(self.refusal(it, head.surface)),
                Reaction::Report => {
                    if !reported.contains(&it.attack) {
                        reported.push(it.attack);
                    }
                    offence = offence.or(it.offence);
                }
            }
        }
        let shapes = asked.iter().filter_map(Watched::shape);
        if manner(head.headers, shapes) == Manner::Unread {
            asked.clear();
        }
        if !asked.is_empty() {
            steps.note(|| Step {
                asked: "attack",
                found: format!("the body is held against {} known attacks", asked.len()),
                source: None,
            });
        }
        let nothing = reported.is_empty() && asked.is_empty();
        let body_limit = self.body_limit;
        let suspected = Suspected { reported, offence, asked, body_limit };
        Ok((!nothing).then(|| Box::new(suspected)))
    }

    /// Why a request is refused that is one of these.
    #[must_use]
    pub fn refusal(&self, found: &Watched, surface: Surface) -> Refusal {
        let source = self.get(found.attack).map(|it| it.source);
        let refusal = Refusal::new(Reason::Attack, Some(surface), source);
        Refusal { offence: found.offence, attack: Some(found.attack), ..refusal }
    }

    fn step(&self, found: &Watched) -> Step {
        let Some(known) = self.get(found.attack) else {
            return Step { asked: "attack", found: String::new(), source: None };
        };
        let done = match found.reaction {
            Reaction::Report => "told",
            Reaction::Block => "stopped",
        };
        let found = format!("{}, {done}: {}", known.entry.id, known.entry.title);
        Step { asked: "attack", found, source: Some(known.source) }
    }
}

/// Whether the operator wants it stopped, or this release has the flaw, as far as anybody knows.
fn is_strict(mode: AttackMode, entry: &Entry, release: Option<Release>) -> bool {
    let open = |all: &Affected| release.is_none_or(|it| all.contains(it));
    mode == AttackMode::Block || entry.affected.as_ref().is_some_and(open)
}

/// What is held against whoever sends such a request: nothing if it could be somebody's mistake, or
/// if the operator only wants to be told.
///
/// What stands in a webhook's body is held against nobody: who sends it may pass on what somebody
/// else has written, and would be kept from sending anything for a day.
fn offence(
    mode: AttackMode,
    reaction: Reaction,
    entry: &Entry,
    shape: &Shape,
    surface: Surface,
) -> Option<Offence> {
    let passed_on = !shape.body.is_empty()
        && matches!(surface, Surface::Webhook | Surface::WebhookTest | Surface::WebhookWaiting);
    let meant = reaction == Reaction::Block || mode == AttackMode::Auto;
    let sure = entry.likeness == Likeness::OnlyAttacks;
    (sure && meant && !passed_on).then_some(Offence::Attack)
}

#[cfg(test)]
mod tests;
