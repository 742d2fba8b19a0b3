//! Why no certificate came, in words that a person can act on.

use std::{error::Error as _, fmt};

use instant_acme::{Error as Acme, Problem};

use super::Challenge;

/// Why no certificate came.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What a person should know.
    pub(crate) words: String,
    /// How many seconds the CA asks to be left alone.
    pub(crate) retry_after: Option<u64>,
}

/// What a failure means for what is tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Control of the host could not be shown: another challenge may do.
    Challenge,
    /// The CA wants to be left alone for a while.
    RateLimited,
    /// It is left alone before it has to say so.
    Resting,
    /// The CA does not know the account, or not any more.
    Account,
    /// The CA does not let the account do this. It may have closed it.
    Unauthorized,
    /// The order is of no use any more.
    Order,
    /// The CA could not be reached or did not answer as a CA does.
    Unreachable,
    /// Everything else that a CA refuses.
    Refused,
    /// It is for this machine to be set right.
    Ours,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into(), retry_after: None }
    }

    /// What `error` means, met at the CA `directory`.
    pub(crate) fn of(error: &Acme, directory: &str) -> Self {
        match error {
            Acme::Api(problem) => Self::said(problem, directory),
            // What was kept is no key.
            Acme::KeyRejected | Acme::Crypto => {
                Self::new(Kind::Account, format!("the account at {directory} cannot be used"))
            }
            Acme::Unsupported(what) => {
                Self::new(Kind::Refused, format!("{directory} does not know {what}"))
            }
            Acme::Timeout(_) => {
                Self::new(Kind::Unreachable, format!("{directory} did not come to an end in time"))
            }
            other => {
                let words = format!("{directory} could not be asked: {}", chain(other));
                Self::new(Kind::Unreachable, words)
            }
        }
    }

    /// What a CA says of an account or an order.
    fn said(problem: &Problem, directory: &str) -> Self {
        let name = name(problem);
        let row = SAID.iter().find(|(known, ..)| *known == name);
        let (kind, meaning) =
            row.map_or((Kind::Refused, "refuses"), |(_, kind, text)| (*kind, text));
        Self::new(kind, format!("{directory} {meaning} ({})", detail(problem)))
    }

    /// What a CA says of a challenge that it tried for `host`.
    pub(crate) fn challenge(problem: Option<&Problem>, challenge: Challenge, host: &str) -> Self {
        let (name, detail) = match problem {
            Some(problem) => (name(problem), detail(problem)),
            None => ("", "the CA says no more".to_owned()),
        };
        let row = TRIED.iter().find(|(problem, tried, _)| {
            *problem == name && tried.is_none_or(|tried| tried == challenge)
        });
        let meaning = row.map_or("the CA did not accept the answer of {host}", |row| row.2);
        let words = meaning.replace("{host}", host);
        Self::new(Kind::Challenge, format!("{words} ({}: {detail})", challenge.name()))
    }
}

/// What CAs say of accounts and orders (RFC 8555 6.7, RFC 9773 5, the profiles draft), and what it
/// means to an operator.
#[rustfmt::skip]
const SAID: [(&str, Kind, &str); 18] = [
    ("accountDoesNotExist", Kind::Account, "does not know the account"),
    ("unauthorized", Kind::Unauthorized, "does not let the account do this"),
    ("externalAccountRequired", Kind::Refused, "wants an account of its own: give `eab: { key_id: …, hmac_key: … }` to this directory"),
    ("invalidContact", Kind::Refused, "does not take the address in `tls.acme.email`"),
    ("unsupportedContact", Kind::Refused, "does not take the address in `tls.acme.email`"),
    ("userActionRequired", Kind::Refused, "has new terms that a person has to agree to"),
    ("rateLimited", Kind::RateLimited, "has been asked too often"),
    ("rejectedIdentifier", Kind::Refused, "does not issue for this host"),
    ("unsupportedIdentifier", Kind::Refused, "does not issue for this kind of host"),
    ("caa", Kind::Refused, "is not allowed by the host's CAA record"),
    ("badCSR", Kind::Refused, "does not take the request: is `tls.acme.key_type` one that it knows?"),
    ("badPublicKey", Kind::Refused, "does not take the key: is `tls.acme.key_type` one that it knows?"),
    ("invalidProfile", Kind::Refused, "has no such profile: look at `profile` of this directory"),
    ("badNonce", Kind::Unreachable, "refuses its own nonces"),
    ("serverInternal", Kind::Unreachable, "has trouble of its own"),
    ("alreadyReplaced", Kind::Order, "has replaced this certificate already"),
    ("orderNotReady", Kind::Order, "does not find the order ready"),
    ("malformed", Kind::Order, "does not understand the request"),
];

/// What CAs say of challenges, and what an operator should look at.
#[rustfmt::skip]
const TRIED: [(&str, Option<Challenge>, &str); 13] = [
    ("connection", Some(Challenge::Http01), "the CA could not reach http://{host}/.well-known/acme-challenge/… on port 80: is the port open, and does {host} lead to this machine?"),
    ("connection", Some(Challenge::TlsAlpn01), "the CA could not reach {host} on port 443: is the port open, and does {host} lead to this machine?"),
    ("connection", Some(Challenge::Dns01), "the CA could not reach the name servers of {host}"),
    ("tls", None, "something else answers for {host} on port 443: does {host} lead to this gateway, or is a CDN or another server in between?"),
    ("unauthorized", Some(Challenge::Http01), "something else answers at http://{host}/.well-known/acme-challenge/…: does {host} lead to this gateway, or is a CDN or another server in between?"),
    ("unauthorized", Some(Challenge::TlsAlpn01), "something else answers for {host} on port 443: does {host} lead to this gateway, or is a CDN or another server in between?"),
    ("unauthorized", Some(Challenge::Dns01), "the CA found no TXT record, or another one, at _acme-challenge.{host}: was it published in the right zone, and is `propagation` long enough?"),
    ("incorrectResponse", Some(Challenge::Dns01), "the CA found no TXT record, or another one, at _acme-challenge.{host}: was it published in the right zone, and is `propagation` long enough?"),
    ("incorrectResponse", None, "something else answers for {host}: does {host} lead to this gateway, or is a CDN or another server in between?"),
    ("dns", Some(Challenge::Dns01), "the CA found no TXT record at _acme-challenge.{host}: was it published, and is `propagation` long enough?"),
    ("dns", None, "the CA found no address for {host}: does it have an A or AAAA record?"),
    ("caa", None, "a CAA record of {host} does not allow this CA"),
    ("rejectedIdentifier", None, "the CA does not issue for {host}"),
];

/// The problem's short name.
pub(crate) fn name(problem: &Problem) -> &str {
    let whole = problem.r#type.as_deref().unwrap_or_default();
    whole.rsplit(':').next().unwrap_or(whole)
}

/// The CA's own words, as long as a line may be.
pub(crate) fn detail(problem: &Problem) -> String {
    let own = problem.detail.as_deref().unwrap_or_default();
    let parts = problem.subproblems.iter().filter_map(|it| it.detail.as_deref());
    let words: Vec<&str> = std::iter::once(own).chain(parts).filter(|it| !it.is_empty()).collect();
    let words = if words.is_empty() { name(problem).to_owned() } else { words.join("; ") };
    words.chars().filter(|it| !it.is_control()).take(LONGEST).collect()
}

/// The most that is quoted of what a CA says, in characters.
const LONGEST: usize = 300;

/// An error with what caused it.
fn chain(error: &Acme) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = deeper.source();
    }
    words.chars().filter(|it| !it.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str) -> Problem {
        let kind = format!("urn:ietf:params:acme:error:{name}");
        let text = format!(r#"{{"type":"{kind}","detail":"Fetching failed\nat once"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_operator_reads_what_to_look_at() {
        let told = Failure::challenge(Some(&problem("connection")), Challenge::Http01, "n8n.test");
        assert_eq!(
            told.words,
            "the CA could not reach http://n8n.test/.well-known/acme-challenge/… on port 80: is the \
             port open, and does n8n.test lead to this machine? (http-01: Fetching failedat once)"
        );
        let limited = Failure::of(&Acme::Api(problem("rateLimited")), "letsencrypt");
        assert_eq!((limited.kind, limited.retry_after), (Kind::RateLimited, None));
        let unknown = Failure::of(&Acme::Api(problem("somethingNew")), "letsencrypt");
        assert_eq!(unknown.kind, Kind::Refused);
        assert!(Failure::challenge(None, Challenge::Dns01, "n8n.test").words.contains("n8n.test"));
    }
}
