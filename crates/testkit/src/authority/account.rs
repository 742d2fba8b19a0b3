//! Accounts: made, found, bound to an account elsewhere, ended.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Problem, json as answer, set},
    jws::{Jwk, Jws},
    state::State,
};

/// One account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: Jwk,
    pub(super) standing: Standing,
    contact: Value,
}

/// Whether an account may ask for anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing but its URL is left.
    Forgotten,
    Deactivated,
    Valid,
}

impl State {
    /// Answers `newAccount`.
    pub(super) fn new_account(&mut self, jws: &Jws) -> Result<Answer, Problem> {
        let key = jws.protected.get("jwk").ok_or_else(|| Problem::malformed("no jwk"))?;
        if jws.header("kid").is_some() {
            return Err(Problem::malformed("jwk and kid exclude each other"));
        }
        let key = Jwk::parse(key)?;
        jws.signed_by(&key)?;
        let payload = jws.payload()?.ok_or_else(|| Problem::malformed("no payload"))?;
        let same = |it: &Account| it.key == key && it.standing != Standing::Forgotten;
        if let Some(found) = self.accounts.iter().position(same) {
            self.standing(found)?;
            return self.show_account(StatusCode::OK, found);
        }
        if payload["onlyReturnExisting"] == true {
            return Err(Problem::new("accountDoesNotExist", "no account has this key"));
        }
        if payload["termsOfServiceAgreed"] != true {
            return Err(Problem::new("userActionRequired", "the terms are not agreed to"));
        }
        check_contact(&payload["contact"])?;
        self.check_binding(&payload["externalAccountBinding"], &key)?;
        self.seen.accounts.push(self.clock.now());
        let contact = payload["contact"].clone();
        self.accounts.push(Account { key, standing: Standing::Valid, contact });
        self.show_account(StatusCode::CREATED, self.accounts.len() - 1)
    }

    /// Whose request it is, from its `kid` and signature.
    pub(super) fn caller(&self, jws: &Jws) -> Result<usize, Problem> {
        if jws.protected.get("jwk").is_some() {
            return Err(Problem::malformed("jwk and kid exclude each other"));
        }
        let kid = jws.header("kid").ok_or_else(|| Problem::malformed("no kid"))?;
        let unknown =
            || Problem::new("accountDoesNotExist", format!("account {kid:?} is not known"));
        let index: usize = kid
            .strip_prefix(self.url("account/").as_str())
            .and_then(|it| it.parse().ok())
            .ok_or_else(unknown)?;
        let account = self.accounts.get(index).ok_or_else(unknown)?;
        if account.standing == Standing::Forgotten {
            return Err(unknown());
        }
        jws.signed_by(&account.key)?;
        self.standing(index)?;
        Ok(index)
    }

    /// Answers what is asked of an account itself.
    pub(super) fn account(
        &mut self,
        caller: usize,
        rest: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Problem> {
        if rest.parse() != Ok(caller) {
            return Err(Problem::new("unauthorized", "this is another account"));
        }
        if let (Some(payload), Some(account)) = (payload, self.accounts.get_mut(caller)) {
            if payload["status"] == "deactivated" {
                account.standing = Standing::Deactivated;
            } else if let Some(contact) = payload.get("contact") {
                check_contact(contact)?;
                account.contact = contact.clone();
            }
        }
        self.show_account(StatusCode::OK, caller)
    }

    fn standing(&self, index: usize) -> Result<(), Problem> {
        match self.accounts.get(index).map(|it| it.standing) {
            Some(Standing::Valid) => Ok(()),
            _ => Err(Problem::new("unauthorized", "account is deactivated")),
        }
    }

    fn show_account(&self, status: StatusCode, index: usize) -> Result<Answer, Problem> {
        let account = self.accounts.get(index).ok_or_else(|| Problem::absent("account"))?;
        let standing = match account.standing {
            Standing::Valid => "valid",
            Standing::Forgotten | Standing::Deactivated => "deactivated",
        };
        let mut answer = answer(status, &json!({ "status": standing, "contact": account.contact }));
        set(&mut answer, header::LOCATION, &self.url(format_args!("account/{index}")));
        Ok(answer)
    }

    /// The binding to an account elsewhere is required or ignored (RFC 8555, 7.3.4).
    fn check_binding(&self, binding: &Value, key: &Jwk) -> Result<(), Problem> {
        let Some((kid, secret)) = &self.external_account else { return Ok(()) };
        if binding.is_null() {
            return Err(Problem::new("externalAccountRequired", "an external account is required"));
        }
        let binding = Jws::parse(binding)?;
        if binding.header("kid") != Some(kid) {
            return Err(Problem::new("unauthorized", "the external account is not known"));
        }
        if binding.header("url") != Some(&self.url("new-account")) {
            return Err(Problem::malformed("the binding is for another URL"));
        }
        if binding.header("nonce").is_some() {
            return Err(Problem::malformed("the binding has a nonce"));
        }
        binding.sealed_with(secret)?;
        match binding.payload()? {
            Some(bound) if Jwk::parse(&bound)? == *key => Ok(()),
            _ => Err(Problem::malformed("the binding is for another key")),
        }
    }
}

fn check_contact(contact: &Value) -> Result<(), Problem> {
    let all = contact.as_array().map_or(&[][..], |it| it);
    match all.iter().find(|it| !it.as_str().is_some_and(|it| it.starts_with("mailto:"))) {
        Some(other) => {
            Err(Problem::new("unsupportedContact", format!("{other} is no mail address")))
        }
        None => Ok(()),
    }
}
