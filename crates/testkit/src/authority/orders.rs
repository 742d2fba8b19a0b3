//! Orders, their authorizations and challenges, and the certificate at their end.

mod authorization;
mod finalize;

use std::{net::IpAddr, time::Duration};

use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(super) use self::authorization::Authorization;
use super::{
    answer::{Answer, Problem, json as answer, set},
    seen::SeenOrder,
    state::{State, rfc3339},
};

/// A name or an address that a certificate is to be for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Identifier {
    Dns(String),
    Ip(IpAddr),
}

/// One order.
#[derive(Debug)]
pub(super) struct Order {
    account: usize,
    identifiers: Vec<Identifier>,
    authorizations: Vec<usize>,
    profile: Option<String>,
    replaces: Option<String>,
    expires: i64,
    done: Option<Done>,
}

/// An order that was finalized.
#[derive(Debug)]
struct Done {
    since: Instant,
    takes: Duration,
    certificate: usize,
}

impl Identifier {
    fn parse(value: &Value) -> Result<Self, Problem> {
        let text = value["value"].as_str().unwrap_or_default();
        let rejected = |why: &str| Problem::new("rejectedIdentifier", format!("{text:?} {why}"));
        match value["type"].as_str() {
            Some("dns") => {
                let bare = text.strip_prefix("*.").unwrap_or(text);
                let sound = |label: &str| {
                    let letter =
                        |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
                    !label.is_empty() && label.len() < 64 && label.bytes().all(letter)
                };
                if !bare.contains('.') || !bare.split('.').all(sound) {
                    return Err(rejected("is no public name in lower case"));
                }
                if bare.parse::<IpAddr>().is_ok() {
                    return Err(rejected("is an address, not a name"));
                }
                Ok(Self::Dns(text.to_owned()))
            }
            Some("ip") => text.parse().map(Self::Ip).map_err(|_| rejected("is no address")),
            _ => Err(Problem::new("unsupportedIdentifier", "only dns and ip are known here")),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Dns(name) => json!({ "type": "dns", "value": name }),
            Self::Ip(address) => json!({ "type": "ip", "value": address.to_string() }),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Dns(name) => name.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }
}

impl State {
    /// Answers `newOrder`.
    pub(super) fn new_order(&mut self, caller: usize, payload: &Value) -> Result<Answer, Problem> {
        if let Some(after) = self.mischief.rate_limited {
            self.seen.limited.push(self.clock.now());
            return Err(Problem::new("rateLimited", "too many certificates").for_now(after));
        }
        let identifiers = payload["identifiers"].as_array().map_or(&[][..], |it| it);
        let identifiers: Vec<Identifier> =
            identifiers.iter().map(Identifier::parse).collect::<Result<_, _>>()?;
        if identifiers.is_empty() {
            return Err(Problem::malformed("an order is for something"));
        }
        let profile = self.check_profile(&payload["profile"], &identifiers)?;
        let replaces = self.check_replaces(caller, &payload["replaces"], &identifiers)?;
        let authorizations = identifiers.iter().map(|it| self.authorize(caller, it)).collect();
        self.seen.orders.push(SeenOrder {
            at: self.clock.now(),
            account: self.url(format_args!("account/{caller}")),
            identifiers: identifiers.iter().map(Identifier::text).collect(),
            profile: profile.clone(),
            replaces: replaces.clone(),
        });
        let expires = self.now() + 7 * 86_400;
        let (account, done) = (caller, None);
        let order =
            Order { account, identifiers, authorizations, profile, replaces, expires, done };
        self.orders.push(order);
        let index = self.orders.len() - 1;
        let mut answer = self.show_order(StatusCode::CREATED, index)?;
        set(&mut answer, header::LOCATION, &self.url(format_args!("order/{index}")));
        Ok(answer)
    }

    /// Answers who looks at an order.
    pub(super) fn order(&self, caller: usize, rest: &str) -> Result<Answer, Problem> {
        let index = self.own_order(caller, rest)?;
        let mut answer = self.show_order(StatusCode::OK, index)?;
        if let Some(after) = self.mischief.retry_after {
            set(&mut answer, header::RETRY_AFTER, &after.as_secs().to_string());
        }
        Ok(answer)
    }

    fn own_order(&self, caller: usize, rest: &str) -> Result<usize, Problem> {
        let index = rest.parse().unwrap_or(usize::MAX);
        match self.orders.get(index) {
            Some(order) if order.account == caller => Ok(index),
            Some(_) => Err(Problem::new("unauthorized", "this is another account's order")),
            None => Err(Problem::absent("order")),
        }
    }

    fn show_order(&self, status: StatusCode, index: usize) -> Result<Answer, Problem> {
        let order = self.orders.get(index).ok_or_else(|| Problem::absent("order"))?;
        let urls = order.authorizations.iter();
        let urls: Vec<String> =
            urls.map(|it| self.url(format_args!("authorization/{it}"))).collect();
        let standing = self.order_status(order);
        let identifiers: Vec<Value> = order.identifiers.iter().map(Identifier::value).collect();
        let mut value = json!({
            "status": standing,
            "expires": rfc3339(order.expires),
            "identifiers": identifiers,
            "authorizations": urls,
            "finalize": self.url(format_args!("finalize/{index}")),
        });
        if let Some(profile) = &order.profile {
            value["profile"] = profile.as_str().into();
        }
        if let Some(replaces) = &order.replaces {
            value["replaces"] = replaces.as_str().into();
        }
        if let (Some(done), "valid") = (&order.done, standing) {
            value["certificate"] =
                self.url(format_args!("certificate/{}", done.certificate)).into();
        }
        Ok(answer(status, &value))
    }

    fn order_status(&self, order: &Order) -> &'static str {
        if let Some(done) = &order.done {
            return if done.since.elapsed() < done.takes { "processing" } else { "valid" };
        }
        let mut standing = if self.mischief.pending_for_ever { "pending" } else { "ready" };
        for authorization in &order.authorizations {
            match self.authorizations.get(*authorization).map(Authorization::status) {
                Some("valid") => {}
                Some("pending") => standing = "pending",
                _ => return "invalid",
            }
        }
        standing
    }

    fn check_profile(
        &self,
        profile: &Value,
        identifiers: &[Identifier],
    ) -> Result<Option<String>, Problem> {
        let profile = profile.as_str();
        if let Some(name) = profile
            && !self.profiles.iter().any(|(known, _)| known == name)
        {
            return Err(Problem::new("invalidProfile", format!("there is no profile {name:?}")));
        }
        let addresses = identifiers.iter().any(|it| matches!(it, Identifier::Ip(_)));
        if addresses && self.address_profile.is_some() && self.address_profile.as_deref() != profile
        {
            let detail = "this profile does not permit ip type identifiers";
            return Err(Problem::new("rejectedIdentifier", detail));
        }
        Ok(profile.map(str::to_owned))
    }

    /// Section 5 of RFC 9773.
    fn check_replaces(
        &self,
        caller: usize,
        replaces: &Value,
        identifiers: &[Identifier],
    ) -> Result<Option<String>, Problem> {
        let Some(id) = replaces.as_str() else { return Ok(None) };
        let found = self.certificates.iter().find(|it| it.id == id);
        let found = found.ok_or_else(|| Problem::absent("certificate to replace"))?;
        if found.account != caller {
            return Err(Problem::new("unauthorized", "it is another account's to replace"));
        }
        if !identifiers.iter().any(|it| found.identifiers.contains(&it.text())) {
            return Err(Problem::malformed("the order replaces a certificate for something else"));
        }
        let replaced =
            |it: &Order| it.replaces.as_deref() == Some(id) && self.order_status(it) != "invalid";
        if self.orders.iter().any(replaced) {
            return Err(Problem::new("alreadyReplaced", "another order replaces it"));
        }
        Ok(Some(id.to_owned()))
    }
}
