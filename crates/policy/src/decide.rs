//! The decision.

mod admit;
mod called;
mod head;
mod permit;

use std::{fmt, net::IpAddr, sync::Arc};

use gateway_n8n::{
    Ambiguity, Attempt, Located, Surface, Surfaces, Suspicion, answer::Author, attacks::Head,
    could_show_session, has_method,
};
use http::{HeaderValue, header, request};

pub use head::claimed_host;
pub use permit::{Permit, Refusal, Verdict};

use self::head::asks_for_websocket;
use crate::{
    Access, Accounts, Admission, AnswerRules, Attacks, Authority, Bans, Client, Clients, Hosts,
    Limit, Login, Network, Offence, PathRules, Per, PublicHost, RateLimits, Reason, Shown, Source,
    Webhooks, Who, Windows, accounts::Consequence, rules::path_key,
};

/// What an operator wants.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The hosts that are served.
    pub hosts: Hosts,
    /// How clients are told apart.
    pub clients: Clients,
    /// Where n8n mounts its surfaces.
    pub surfaces: Surfaces,
    /// Networks that are refused everywhere.
    pub deny: Vec<(Arc<Network>, Source)>,
    /// Who may call what.
    pub access: Access,
    /// The largest body in bytes, by surface in the order of [`Surface::all`].
    pub bodies: Vec<PathRules<u64>>,
    /// How often what may be asked.
    pub limits: RateLimits,
    /// Who is banned when.
    pub bans: Bans,
    /// What is asked of accounts and of their sessions.
    pub accounts: Accounts,
    /// What is done to n8n's answers.
    pub answers: AnswerRules,
    /// Which attacks are looked for.
    pub attacks: Attacks,
    /// What is asked of the calls of webhooks.
    pub webhooks: Webhooks,
    /// Whether decisions are carried out.
    pub mode: Mode,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are told and counted; whatever can be let through passes.
    DryRun,
}

/// What is asked: a request's head and what the connection knows.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The head.
    pub head: &'q request::Parts,
    /// The name of the TLS handshake, if it gave one.
    pub sni: Option<&'q str>,
    /// Who asks.
    pub client: Client,
    /// What they show of themselves.
    pub shown: Shown<'q>,
    /// What is known of whoever is signed in.
    pub login: Login<'q>,
    /// Who is let in for a time.
    pub windows: &'q Windows,
}

/// One step of a decision, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was asked: `host`, `path`, `client`, `deny`, `access`, `window`, `method`, `session`,
    /// `api key`, `password`, `address`, `body`, `webhook`, `attack`, `limit`, `upgrade`, `mode`.
    pub asked: &'static str,
    /// What was found.
    pub found: String,
    /// What of the policy said so.
    pub source: Option<Source>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}", self.asked, self.found)?;
        self.source.map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

/// Whoever wants to know how a decision was reached; `()` does not.
pub trait Steps {
    /// Takes one step down.
    fn note(&mut self, step: impl FnOnce() -> Step);
}

impl Steps for () {
    fn note(&mut self, _: impl FnOnce() -> Step) {}
}

impl Steps for Vec<Step> {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

impl Policy {
    /// Whether `path` is a production webhook's.
    #[must_use]
    pub fn is_webhook(&self, path: &str) -> bool {
        self.surfaces.locate(path, false).is_ok_and(|it| it.surface == Surface::Webhook)
    }

    /// Whether anybody at `addresses` could reach the editor, with a certificate if one is asked
    /// for there: an address does not tell who has one. Nobody asks who asks for none.
    #[must_use]
    pub fn editor_is_open_to_any(&self, addresses: &[IpAddr]) -> bool {
        let editor = &self.access.of(Surface::Editor).root().value;
        let sign_in = self.access.find(Surface::SignIn, "login").map(|rule| &rule.value);
        let reached = |who: &Who, it: IpAddr| who.admits(it, Shown::Nothing) != Admission::Closed;
        let open = |it: &IpAddr| {
            let both = reached(editor, *it) && sign_in.is_ok_and(|rule| reached(rule, *it));
            both && self.denied(*it).is_none()
        };
        addresses.iter().any(open)
    }

    /// What refuses `address` everywhere, if anything does.
    #[must_use]
    pub fn denied(&self, address: IpAddr) -> Option<(&Network, Source)> {
        let denied = self.deny.iter().find(|(network, _)| network.contains(address));
        denied.map(|(network, source)| (&**network, *source))
    }

    /// Whether the request may pass.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn decide(&self, question: Question<'_>) -> Verdict {
        self.decide_with(question, &mut ())
    }

    /// Whether the request may pass, each step noted down.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn decide_with(&self, question: Question<'_>, steps: &mut impl Steps) -> Verdict {
        let (authority, host) = self.host(question, steps)?;
        let wants_upgrade = asks_for_websocket(question.head);
        let located = self.locate(question, wants_upgrade, steps)?;
        let admitted = self.admit(question, host, located, steps);
        let would = self.spare(admitted, steps)?.err();
        let heard = self.spare(heard(question, located, steps), steps)?;
        let would = heard.err().map_or(would, |refusal| would.or(Some(refusal)));
        let judged = self.accounts.judge(question, located, steps);
        let (consequence, would) = match self.spare(judged, steps)? {
            Ok(consequence) => (consequence.under(self.mode), would),
            Err(refusal) => (Consequence::default(), would.or(Some(refusal))),
        };
        let keys = self.accounts.judge_keys(question, located, steps);
        let (charges, would) = match self.spare(keys, steps)? {
            Ok(charges) => (charges, would),
            Err(refusal) => (Vec::new(), would.or(Some(refusal))),
        };
        let body = self.body(question, located, steps);
        let (body_limit, would) = match self.spare(body, steps)? {
            Ok(limit) => (limit, would),
            Err(refusal) => (u64::MAX, would.or(Some(refusal))),
        };
        let (webhook, limit) = self.called(question, located, steps)?;
        let would = limit.as_ref().err().map_or(would, |refusal| would.or(Some(*refusal)));
        // A dry run lets pass what n8n takes, however long it turns out to be.
        let size = limit.ok().filter(|_| self.mode == Mode::Enforce);
        let body_limit = body_limit.min(size.unwrap_or(u64::MAX));
        let attacks = self.attacks.look(&Head::new(located, question.head), steps);
        let (attacks, would) = match self.spare(attacks, steps)? {
            Ok(suspected) => (suspected, would),
            Err(refusal) => (None, would.or(Some(refusal))),
        };
        let (limits, attempt) = self.budget(question, located, steps)?;
        let by_path = limits.iter().any(|limit| limit.per == Per::Path);
        let path_key = by_path.then(|| path_key(located.surface, located.tail));
        let upgrade = wants_upgrade && upgrades(located, steps);
        let (surface, key) = (located.surface, question.client);
        let offence = suspected(question, located);
        let session = could_show_session(&located, &question.head.method, &question.head.headers);
        Ok(Permit {
            surface,
            authority,
            body_limit,
            upgrade,
            key,
            limits,
            charges,
            path_key,
            attempt,
            session,
            author: Author::of(&located),
            offence: offence.or_else(|| attacks.as_ref()?.offence),
            attacks,
            would,
            addresses: self.accounts.named_addresses(question, located, steps),
            new_password: self.accounts.new_password(question, located, steps),
            consequence,
            webhook,
        })
    }

    /// In a dry run, what would be refused passes.
    fn spare<T>(
        &self,
        decided: Result<T, Refusal>,
        steps: &mut impl Steps,
    ) -> Result<Result<T, Refusal>, Refusal> {
        match (decided, self.mode) {
            (Err(refusal), Mode::Enforce) => Err(refusal),
            (Err(refusal), Mode::DryRun) => {
                steps.note(|| Step {
                    asked: "mode",
                    found: format!("dry run: `{}` is only told", refusal.reason.name()),
                    source: None,
                });
                Ok(Err(refusal))
            }
            (Ok(value), Mode::Enforce | Mode::DryRun) => Ok(Ok(value)),
        }
    }

    fn host(
        &self,
        question: Question<'_>,
        steps: &mut impl Steps,
    ) -> Result<(HeaderValue, PublicHost), Refusal> {
        let refuse = |reason| Refusal::new(reason, None, None);
        let claimed = claimed_host(question.head).ok_or_else(|| refuse(Reason::BadHost))?;
        let found = self.hosts.find(claimed.host);
        steps.note(|| Step {
            asked: "host",
            found: match found {
                Some((_, PublicHost::Only)) => format!("{claimed} serves everything"),
                Some((_, PublicHost::Site)) => format!("{claimed} is site.host"),
                Some((_, PublicHost::Webhooks)) => format!("{claimed} is site.webhook_host"),
                None => format!("{claimed} is not a host of the policy"),
            },
            source: None,
        });
        let (name, host) = found.ok_or_else(|| refuse(Reason::UnknownHost))?;
        if question.sni.is_some_and(|sni| !sni.eq_ignore_ascii_case(name)) {
            steps.note(|| Step {
                asked: "host",
                found: "the TLS handshake was for another host".to_owned(),
                source: None,
            });
            return Err(refuse(Reason::HostMismatch));
        }
        let said = question.head.headers.get(header::HOST);
        let authority = Authority { host: name, port: claimed.port };
        let authority = authority.field(said).map_err(|_| refuse(Reason::BadHost))?;
        Ok((authority, host))
    }

    fn locate<'q>(
        &self,
        question: Question<'q>,
        upgrade: bool,
        steps: &mut impl Steps,
    ) -> Result<Located<'q>, Refusal> {
        let path = question.head.uri.path();
        let located = self.surfaces.locate(path, upgrade);
        steps.note(|| Step {
            asked: "path",
            found: match located {
                Ok(located) => format!("surface `{}`", located.surface.name()),
                Err(ambiguity) => format!("can be read in more than one way: {ambiguity}"),
            },
            source: None,
        });
        located.map_err(|ambiguity| {
            let refusal = Refusal::new(Reason::AmbiguousPath, None, None);
            // A slash too many comes of a base address that ends in one, the others of names that
            // somebody made up for a webhook: nobody's attack.
            let innocent = matches!(
                ambiguity,
                Ambiguity::EmptySegment
                    | Ambiguity::Byte
                    | Ambiguity::Semicolon
                    | Ambiguity::NotAPath
                    | Ambiguity::Case
            );
            Refusal { offence: refusal.offence.filter(|_| !innocent), ..refusal }
        })
    }

    fn body(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<u64, Refusal> {
        let surface = located.surface;
        let refuse = |reason, source| {
            let refusal = Refusal::new(reason, Some(surface), source);
            Refusal { offence: suspected(question, located).or(refusal.offence), ..refusal }
        };
        let mut expected = question.head.headers.get_all(header::EXPECT).iter();
        if expected.any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            return Err(refuse(Reason::Expectation, None));
        }
        let Some(rules) = self.bodies.get(surface as usize) else { return Ok(0) };
        let rule = rules.find(surface, located.tail);
        let rule = rule.map_err(|_| refuse(Reason::AmbiguousPath, None))?;
        let length = question.head.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > rule.value) {
            steps.note(|| Step {
                asked: "body",
                found: format!("larger than {} bytes", rule.value),
                source: Some(rule.source),
            });
            return Err(refuse(Reason::BodyTooLarge, Some(rule.source)));
        }
        Ok(rule.value)
    }

    /// What the request has to keep to, and what it tries. Where people sign in only attempts are
    /// limited: every page load asks there who is signed in.
    fn budget(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<(Arc<[Limit]>, Option<Attempt>), Refusal> {
        let surface = located.surface;
        let attempt = Attempt::of(&located, &question.head.method, &question.head.headers);
        let rule = self.limits.of(surface).find(surface, located.tail);
        let refuse = |_| Refusal::new(Reason::AmbiguousPath, Some(surface), None);
        let rule = rule.map_err(refuse)?;
        if surface == Surface::SignIn && attempt.is_none() {
            return Ok((Arc::from([]), None));
        }
        for limit in rule.value.iter() {
            steps.note(|| Step {
                asked: "limit",
                found: format!("{} per {}", limit.quota, limit.per.name()),
                source: Some(limit.source),
            });
        }
        Ok((Arc::clone(&rule.value), attempt))
    }
}

/// Whether who asks for a WebSocket gets one.
fn upgrades(located: Located<'_>, steps: &mut impl Steps) -> bool {
    let found = if located.upgrade { "becomes a WebSocket" } else { "stripped: not answered here" };
    steps.note(|| Step { asked: "upgrade", found: found.to_owned(), source: None });
    located.upgrade
}

/// Whether anything in n8n listens to the method.
fn heard(
    question: Question<'_>,
    located: Located<'_>,
    steps: &mut impl Steps,
) -> Result<(), Refusal> {
    let method = &question.head.method;
    if has_method(method) {
        return Ok(());
    }
    steps.note(|| Step {
        asked: "method",
        found: format!("nothing listens to {method}"),
        source: None,
    });
    let refusal = Refusal::new(Reason::Method, Some(located.surface), None);
    Err(Refusal { offence: suspected(question, located), ..refusal })
}

/// What the path alone tells of whoever asks for it.
fn suspected(question: Question<'_>, located: Located<'_>) -> Option<Offence> {
    let path = question.head.uri.path();
    Suspicion::of(located.surface, path, located.tail).map(|it| match it {
        Suspicion::Probe => Offence::Probe,
        Suspicion::Attack => Offence::Attack,
    })
}

#[cfg(test)]
pub(crate) mod tests;
