//! Authorizations, and the challenges by which they are won.

use http::StatusCode;
use serde_json::{Value, json};

use super::Identifier;
use crate::authority::{
    answer::{Answer, Problem, json as answer},
    jws::encode,
    seen::SeenValidation,
    state::{Job, State, rfc3339},
    validate::{Ask, Verdict},
};

/// The right to one name or address, to be won.
#[derive(Debug)]
pub(in crate::authority) struct Authorization {
    account: usize,
    identifier: Identifier,
    wildcard: bool,
    expires: i64,
    deactivated: bool,
    challenges: Vec<Challenge>,
}

#[derive(Debug)]
struct Challenge {
    kind: &'static str,
    token: String,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Lost(Problem),
    Pending,
    Processing,
    Won,
}

impl Authorization {
    /// An authorization is what its challenges are.
    pub(super) fn status(&self) -> &'static str {
        let won = self.challenges.iter().any(|it| matches!(it.standing, Standing::Won));
        let lost = self.challenges.iter().any(|it| matches!(it.standing, Standing::Lost(_)));
        match () {
            () if self.deactivated => "deactivated",
            () if lost => "invalid",
            () if won => "valid",
            () => "pending",
        }
    }
}

impl Challenge {
    fn value(&self, url: &str, tells: bool) -> Value {
        let standing = match &self.standing {
            Standing::Lost(_) => "invalid",
            Standing::Pending => "pending",
            Standing::Processing if tells => "processing",
            Standing::Processing => "pending",
            Standing::Won => "valid",
        };
        let mut value =
            json!({ "type": self.kind, "url": url, "status": standing, "token": self.token });
        if let Standing::Lost(problem) = &self.standing {
            value["error"] = problem.value();
        }
        value
    }
}

impl State {
    /// The authorization that an order needs: a new one, or one that was won before.
    pub(super) fn authorize(&mut self, account: usize, identifier: &Identifier) -> usize {
        let (bare, wildcard) = match identifier {
            Identifier::Dns(name) => match name.strip_prefix("*.") {
                Some(bare) => (Identifier::Dns(bare.to_owned()), true),
                None => (identifier.clone(), false),
            },
            Identifier::Ip(_) => (identifier.clone(), false),
        };
        let same = |it: &Authorization| {
            it.account == account && it.identifier == bare && it.wildcard == wildcard
        };
        let now = self.now();
        let won = |it: &Authorization| same(it) && it.status() == "valid" && it.expires > now;
        if self.reuse
            && let Some(found) = self.authorizations.iter().position(won)
        {
            return found;
        }
        // A wildcard is won through the DNS alone, and an address never.
        let fits = |kind: &&'static str| match &bare {
            Identifier::Dns(_) => !wildcard || *kind == "dns-01",
            Identifier::Ip(_) => *kind != "dns-01",
        };
        let kinds = self.challenges.clone().into_iter().filter(fits);
        let challenges = kinds
            .map(|kind| Challenge { kind, token: encode(self.draw()), standing: Standing::Pending })
            .collect();
        let (expires, deactivated) = (now + 7 * 86_400, false);
        self.authorizations.push(Authorization {
            account,
            identifier: bare,
            wildcard,
            expires,
            deactivated,
            challenges,
        });
        self.authorizations.len() - 1
    }

    /// Answers who looks at an authorization or gives it up.
    pub(in crate::authority) fn authorization(
        &mut self,
        caller: usize,
        rest: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let index = rest.parse().unwrap_or(usize::MAX);
        let found = self.own_authorization(caller, index)?;
        if payload.is_some_and(|it| it["status"] == "deactivated") {
            found.deactivated = true;
        }
        let found = self.own_authorization(caller, index)?;
        let (identifier, wildcard) = (found.identifier.value(), found.wildcard);
        let (status, expires) = (found.status(), rfc3339(found.expires));
        let tells = self.mischief.looks_for.is_none();
        let found =
            self.authorizations.get(index).ok_or_else(|| Problem::absent("authorization"))?;
        let challenges: Vec<Value> = found
            .challenges
            .iter()
            .map(|it| it.value(&self.url(format_args!("challenge/{index}/{}", it.kind)), tells))
            .collect();
        let mut value = json!({
            "identifier": identifier,
            "status": status,
            "expires": expires,
            "challenges": challenges,
        });
        if wildcard {
            value["wildcard"] = true.into();
        }
        Ok(answer(StatusCode::OK, &value))
    }

    /// Answers a client that is ready for a challenge, or looks at one.
    pub(in crate::authority) fn challenge(
        &mut self,
        caller: usize,
        rest: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let (index, kind) = rest.split_once('/').unwrap_or_default();
        let index = index.parse().unwrap_or(usize::MAX);
        let thumbprint = self.accounts.get(caller).map(|it| it.key.thumbprint());
        let url = self.url(format_args!("challenge/{rest}"));
        let tells = self.mischief.looks_for.is_none();
        let found = self.own_authorization(caller, index)?;
        let (open, identifier) = (found.status() == "pending", found.identifier.text());
        let challenge = found.challenges.iter_mut().find(|it| it.kind == kind);
        let challenge = challenge.ok_or_else(|| Problem::absent("challenge"))?;
        let waits = match challenge.standing {
            Standing::Pending => true,
            Standing::Processing => !tells,
            Standing::Lost(_) | Standing::Won => false,
        };
        if payload.is_some() && open && waits {
            challenge.standing = Standing::Processing;
            let token = challenge.token.clone();
            let key_authorization = format!("{token}.{}", thumbprint.unwrap_or_default());
            let ask = Ask { challenge: challenge.kind, identifier, token, key_authorization };
            let value = challenge.value(&url, tells);
            self.jobs.push(Job { authorization: index, ask });
            return Ok(answer(StatusCode::OK, &value));
        }
        Ok(answer(StatusCode::OK, &challenge.value(&url, tells)))
    }

    /// A challenge was looked at.
    pub(in crate::authority) fn judge(&mut self, job: &Job, verdict: Verdict) {
        let at = self.clock.now();
        let Some(found) = self.authorizations.get_mut(job.authorization) else { return };
        let challenge = found.challenges.iter_mut().find(|it| it.kind == job.ask.challenge);
        let Some(challenge) = challenge else { return };
        let failed = verdict.as_ref().err().map(|(kind, _)| *kind);
        challenge.standing = match verdict {
            Ok(()) => Standing::Won,
            Err((kind, detail)) => Standing::Lost(Problem::new(kind, detail)),
        };
        let (challenge, identifier) = (job.ask.challenge, job.ask.identifier.clone());
        self.seen.validations.push(SeenValidation { at, challenge, identifier, failed });
    }

    fn own_authorization(
        &mut self,
        caller: usize,
        index: usize,
    ) -> Result<&mut Authorization, Problem> {
        match self.authorizations.get_mut(index) {
            Some(found) if found.account == caller => Ok(found),
            Some(_) => Err(Problem::new("unauthorized", "this is another account's")),
            None => Err(Problem::absent("authorization")),
        }
    }
}
