//! What is asked of accounts and of their sessions.

mod address;
mod password;

use gateway_n8n::{
    AddressForm, Claims, Located, PasswordForm, Session, Worth, leads_editor, worth,
};

pub use self::{
    address::AddressRule,
    password::{PasswordRule, Weakness, Weighed},
};
use crate::{Question, Reason, Refusal, Source, Step, Steps, Timestamp};

/// What is asked of accounts and of their sessions.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Whether a second factor is insisted on.
    pub second_factor: Option<SecondFactor>,
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
        self.second_factor.is_some()
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
        let Some(rule) = &self.second_factor else { return Ok(Consequence::default()) };
        let (login, method) = (question.login, &question.head.method);
        let worth = worth(&located, method);
        let note = |steps: &mut _, found: &str| {
            let (found, source) = (found.to_owned(), Some(rule.source));
            Steps::note(steps, || Step { asked: "session", found, source });
        };
        let lacks = match login.session {
            None | Some(Session::None) => {
                if worth == Worth::Needed {
                    note(steps, "one must have shown a second factor");
                }
                return Ok(Consequence::default());
            }
            Some(session) => rule.holds_for(session.claims(), login),
        };
        if !lacks {
            return Ok(Consequence::default());
        }
        let refuse = |reason| Refusal::new(reason, Some(located.surface), Some(rule.source));
        match (worth, login.session) {
            (Worth::Nothing, _) => {
                let leads = leads_editor(&located, method);
                Ok(Consequence { leads, ..Consequence::default() })
            }
            (Worth::Optional, _) => {
                note(steps, "withheld: it has shown no second factor");
                Ok(Consequence { withheld: true, ..Consequence::default() })
            }
            (Worth::Needed, Some(Session::Shown(_))) => {
                note(steps, "has shown no second factor");
                Err(refuse(Reason::NoSecondFactor))
            }
            (Worth::Needed, _) => {
                note(steps, "n8n made no such one");
                Err(refuse(Reason::BadSession))
            }
        }
    }
}

#[cfg(test)]
mod tests;
