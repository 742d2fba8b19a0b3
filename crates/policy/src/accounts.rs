//! What is asked of accounts and of their sessions.

mod address;
mod api_key;
mod password;
mod session;

use std::sync::Arc;

use gateway_n8n::{
    AddressForm, Claims, Located, PasswordForm, Session, Worth, leads_editor, worth,
};

pub use self::{
    address::AddressRule,
    api_key::{ApiKeys, Charge, Fingerprint, KeyRule, ShownKey},
    password::{PasswordRule, Weakness, Weighed},
    session::{History, NewNetwork, SessionRule, Whereabouts},
};
use crate::{Mode, Question, Reason, Refusal, Source, Step, Steps, Timestamp};

/// What is asked of accounts and of their sessions.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Whether a second factor is insisted on.
    pub second_factor: Option<SecondFactor>,
    /// How long a session may last, and from where it may be used.
    pub sessions: Option<SessionRule>,
    /// What is asked of API keys.
    pub api_keys: Option<ApiKeys>,
    /// Where addresses are, if networks are told apart by more than their addresses.
    pub whereabouts: Option<Arc<dyn Whereabouts>>,
    /// What a new password has to be.
    pub password: Option<PasswordRule>,
    /// Which addresses may get an account; nothing if all may.
    pub addresses: Option<AddressRule>,
}

/// That a second factor is insisted on.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// From when on.
    pub from: Option<Timestamp>,
    /// Who may do without: addresses in lower case, or users by n8n's own ids.
    pub except: Vec<String>,
    /// What made it.
    pub source: Source,
}

/// What is known of whoever is signed in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Login<'q> {
    /// What the request shows, if anybody has looked.
    pub session: Option<&'q Session>,
    /// Whether the address that the user last signed in with is excused from a second factor.
    pub excused: bool,
    /// Whether the operator has ended it.
    pub revoked: bool,
    /// What is remembered of it.
    pub history: Option<History>,
    /// The API keys that the request shows, where somebody asks about them.
    pub keys: &'q [ShownKey],
    /// What time it is.
    pub now: Timestamp,
}

/// What else happens to a request because of the session that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// The editor is told to lead to a second factor.
    pub(crate) leads: bool,
    /// n8n does not see the session.
    pub(crate) withheld: bool,
    /// The session is over, or used from where it must not be: its use counts for nothing.
    pub(crate) void: bool,
}

impl Consequence {
    /// What of it is carried out: a dry run changes nothing.
    pub(crate) fn under(self, mode: Mode) -> Self {
        match mode {
            Mode::Enforce => self,
            Mode::DryRun => Self::default(),
        }
    }
}

impl SecondFactor {
    /// Whether a session with `claims` has to show one.
    fn holds_for(&self, claims: Option<&Claims>, login: Login<'_>) -> bool {
        let begun = self.from.is_none_or(|from| login.now >= from);
        let excepted = |claims: &Claims| {
            claims.used_mfa || login.excused || self.except.contains(&claims.user)
        };
        begun && !claims.is_some_and(excepted)
    }
}

impl Accounts {
    /// Whether a request's session has to be looked at.
    #[must_use]
    pub fn ask_for_session(&self) -> bool {
        self.second_factor.is_some() || self.follow_sessions()
    }

    /// Whether what is remembered of a session counts, besides what it says itself.
    #[must_use]
    pub fn follow_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// What follows from the API keys that are shown: what their use is charged to.
    pub(crate) fn judge_keys(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<Vec<Charge>, Refusal> {
        self.api_keys.as_ref().map_or(Ok(Vec::new()), |it| it.judge(question, located, steps))
    }

    /// The form that is sent, if it sets a password that has to be something.
    pub(crate) fn new_password(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Option<&'static PasswordForm> {
        let rule = self.password?;
        let form = PasswordForm::of(&located, &question.head.method)?;
        steps.note(|| Step {
            asked: "password",
            found: "a new one is looked at".to_owned(),
            source: Some(rule.source),
        });
        Some(form)
    }

    /// The form that is sent, if it names addresses that have to be looked at.
    pub(crate) fn named_addresses(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Option<&'static AddressForm> {
        let rule = self.addresses.as_ref()?;
        let form = AddressForm::of(&located, &question.head.method)?;
        steps.note(|| Step {
            asked: "address",
            found: format!("has to be one of {}", rule.patterns.join(", ")),
            source: Some(rule.source),
        });
        Some(form)
    }

    /// What follows from the session that is shown.
    pub(crate) fn judge(
        &self,
        question: Question<'_>,
        located: Located<'_>,
        steps: &mut impl Steps,
    ) -> Result<Consequence, Refusal> {
        let (login, method) = (question.login, &question.head.method);
        let worth = worth(&located, method);
        if let (Some(rule), None, Worth::Needed) = (&self.second_factor, login.session, worth) {
            steps.note(|| Step {
                asked: "session",
                found: "one must have shown a second factor".to_owned(),
                source: Some(rule.source),
            });
        }
        let Some((reason, found, source)) = self.flaw(login) else {
            return Ok(Consequence::default());
        };
        let lacking = reason == Reason::NoSecondFactor;
        let known = Consequence { void: !lacking, ..Consequence::default() };
        let consequence = match worth {
            Worth::Nothing => return Ok(known),
            Worth::Enrolling if lacking => return Ok(known),
            Worth::Optional if lacking && leads_editor(&located, method) => {
                Ok(Consequence { leads: true, ..known })
            }
            Worth::Optional => Ok(Consequence { withheld: true, ..known }),
            Worth::Enrolling | Worth::Needed => {
                Err(Refusal::new(reason, Some(located.surface), source))
            }
        };
        let withheld = if consequence.is_ok() { ", so n8n does not see it" } else { "" };
        steps.note(|| Step { asked: "session", found: format!("{found}{withheld}"), source });
        consequence
    }

    /// What is wrong with the session that is shown: a reason, in words, and what of the policy says
    /// so.
    fn flaw(&self, login: Login<'_>) -> Option<(Reason, &'static str, Option<Source>)> {
        let session = login.session.filter(|it| **it != Session::None)?;
        if login.revoked {
            return Some((Reason::SessionEnded, "the operator has ended it", None));
        }
        if let (Some(rule), Some(claims)) = (&self.sessions, session.claims())
            && let Some((reason, found)) = rule.ended(claims, login.history, login.now)
        {
            return Some((reason, found, Some(rule.source)));
        }
        let rule = self.second_factor.as_ref();
        if let (Some(rule), None) = (self.sessions, session.claims()) {
            return Some((Reason::BadSession, "n8n made no such one", Some(rule.source)));
        }
        let rule = rule.filter(|rule| rule.holds_for(session.claims(), login))?;
        Some(match session {
            Session::Shown(_) => {
                (Reason::NoSecondFactor, "has shown no second factor", Some(rule.source))
            }
            Session::Unreadable | Session::None => {
                (Reason::BadSession, "n8n made no such one", Some(rule.source))
            }
        })
    }
}

#[cfg(test)]
mod tests;
