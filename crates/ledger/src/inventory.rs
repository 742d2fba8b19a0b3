//! The webhooks that n8n has: those that were called, as far as n8n said that they are there. So
//! strangers cannot fill it with paths that they make up.

use std::collections::{BTreeMap, BTreeSet};

use gateway_policy::Timestamp;
use http::{Method, StatusCode};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// How many are remembered; the one that was not called for longest is forgotten first.
pub const WEBHOOKS: usize = 1000;

/// How many are told apart below one first segment: of a path with parameters any stranger can make
/// as many as they like.
const BELOW: usize = 16;

/// The longest path that is remembered, in bytes.
const LONGEST: usize = 256;

/// How many networks of callers are remembered: the last ones.
const NETWORKS: usize = 8;

/// What is known of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Webhook {
    /// When it was called first, in seconds since 1970.
    pub first: i64,
    /// When it was called last.
    pub last: i64,
    /// How often.
    pub calls: u64,
    /// How often n8n answered with 1xx, 2xx, and so on.
    pub answers: [u64; 5],
    /// The networks that it was called from last: /24, or /48.
    pub networks: Vec<IpNet>,
    /// Whether its last call was signed, as far as the policy asks.
    pub signed: bool,
}

/// A call that n8n has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'c> {
    /// The segment of its surface, in lower case, with slashes at both ends.
    pub root: &'c str,
    /// What follows it, as n8n looks it up.
    pub tail: &'c str,
    /// The method.
    pub method: &'c Method,
    /// n8n's answer.
    pub status: StatusCode,
    /// Who called.
    pub from: std::net::IpAddr,
    /// Whether it was signed, as far as the policy asks.
    pub signed: bool,
}

impl Call<'_> {
    /// Whether the answer shows that there is such a webhook. n8n answers `OPTIONS` for any path, what
    /// it does not know with 500 if the call has an `Origin`, and what it cannot decode with 400
    /// (`webhooks/webhook-request-handler.js`; tried on 2.40.7).
    fn shows_webhook(&self) -> bool {
        let known = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&self.status);
        *self.method != Method::OPTIONS
            && (self.status.is_success() || self.status.is_redirection() || known)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    webhooks: BTreeMap<String, Webhook>,
    /// What has changed since it was written.
    changed: BTreeSet<String>,
}

impl Inventory {
    /// Takes a call down.
    pub(crate) fn called(&mut self, call: &Call<'_>, now: Timestamp) {
        if *call.method == Method::OPTIONS {
            return;
        }
        let whole = format!("{}{}", call.root, call.tail);
        if let Some(known) = self.webhooks.get_mut(&whole) {
            known.note(call, now);
            self.changed.insert(whole);
        } else if call.shows_webhook() {
            self.add(whole, call, now);
        }
    }

    fn add(&mut self, whole: String, call: &Call<'_>, now: Timestamp) {
        let first = call.tail.split('/').next().unwrap_or_default();
        let below = format!("{}{first}/", call.root);
        let many = self.below(&below) >= BELOW || whole.len() > LONGEST;
        let path = if many { below + "*" } else { whole };
        if path.len() > LONGEST {
            return;
        }
        let webhook = self.webhooks.entry(path.clone()).or_insert_with(|| Webhook {
            first: now.0,
            last: now.0,
            calls: 0,
            answers: [0; 5],
            networks: Vec::new(),
            signed: false,
        });
        webhook.note(call, now);
        self.changed.insert(path);
        self.make_room();
    }

    /// How many are told apart below a first segment.
    fn below(&self, prefix: &str) -> usize {
        let from = self.webhooks.range(prefix.to_owned()..);
        from.take_while(|(path, _)| path.starts_with(prefix)).count()
    }

    fn make_room(&mut self) {
        if self.webhooks.len() <= WEBHOOKS {
            return;
        }
        let coldest = self.webhooks.iter().min_by_key(|(_, it)| it.last);
        if let Some(path) = coldest.map(|(path, _)| path.clone()) {
            self.webhooks.remove(&path);
            self.changed.insert(path);
        }
    }

    /// Takes over what was kept, unless something newer is there; what has no room is given back.
    pub(crate) fn restore(&mut self, path: String, webhook: Webhook) {
        self.webhooks.entry(path).or_insert(webhook);
        self.make_room();
    }

    /// Every one, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Webhook)> {
        self.webhooks.iter()
    }

    /// What has changed since this was asked last; nothing stands for what is forgotten.
    pub(crate) fn take_changed(&mut self) -> Vec<(String, Option<Webhook>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|path| (path.clone(), self.webhooks.get(&path).cloned())).collect()
    }
}

impl Webhook {
    fn note(&mut self, call: &Call<'_>, now: Timestamp) {
        self.last = now.0;
        self.calls = self.calls.saturating_add(1);
        let class = usize::from(call.status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.answers.get_mut(class) {
            *count = count.saturating_add(1);
        }
        let network = match call.from.to_canonical() {
            std::net::IpAddr::V4(it) => Ipv4Net::new(it, 24).map(|it| IpNet::V4(it.trunc())),
            std::net::IpAddr::V6(it) => Ipv6Net::new(it, 48).map(|it| IpNet::V6(it.trunc())),
        };
        if let Ok(network) = network {
            self.networks.retain(|it| *it != network);
            self.networks.push(network);
            if self.networks.len() > NETWORKS {
                self.networks.remove(0);
            }
        }
        self.signed = call.signed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'c>(tail: &'c str, status: u16) -> Call<'c> {
        Call {
            root: "/webhook/",
            tail,
            method: &Method::POST,
            status: StatusCode::from_u16(status).unwrap(),
            from: "192.0.2.7".parse().unwrap(),
            signed: false,
        }
    }

    #[test]
    fn only_what_n8n_has_gets_in() {
        for (status, is_there) in [
            (200, true),
            (302, true),
            (401, true),
            (403, true),
            (404, false),
            (400, false),
            (500, false),
        ] {
            let mut inventory = Inventory::default();
            inventory.called(&call("a", status), Timestamp(1));
            assert_eq!(inventory.iter().count() == 1, is_there, "{status}");
        }
        let mut inventory = Inventory::default();
        inventory.called(&Call { method: &Method::OPTIONS, ..call("a", 204) }, Timestamp(1));
        assert_eq!(inventory.iter().count(), 0);
        inventory.called(&call("a", 200), Timestamp(1));
        inventory.called(&Call { signed: true, ..call("a", 500) }, Timestamp(9));
        inventory
            .called(&Call { from: "2001:db8::1".parse().unwrap(), ..call("a", 404) }, Timestamp(9));
        let (path, webhook) = inventory.iter().next().unwrap();
        assert_eq!(path, "/webhook/a");
        assert_eq!((webhook.first, webhook.last, webhook.calls), (1, 9, 3));
        assert_eq!(webhook.answers, [0, 1, 0, 1, 1]);
        let networks = ["192.0.2.0/24", "2001:db8::/48"].map(|it| it.parse().unwrap());
        assert_eq!(webhook.networks, networks);
    }

    #[test]
    fn nobody_can_fill_it() {
        let mut inventory = Inventory::default();
        inventory.called(&call("orders", 200), Timestamp(0));
        for n in 0..5000 {
            inventory.called(&call(&format!("id/user/{n}"), 200), Timestamp(n));
        }
        assert_eq!(inventory.iter().count(), 1 + BELOW + 1);
        let rest = inventory.iter().find(|(path, _)| *path == "/webhook/id/*").unwrap().1;
        assert_eq!(rest.calls, 5000 - BELOW as u64);
        inventory.called(&call(&"x".repeat(5000), 200), Timestamp(0));
        assert_eq!(inventory.iter().count(), 1 + BELOW + 1);
        for n in 0..2 * WEBHOOKS as i64 {
            inventory.called(&call(&format!("{n}"), 200), Timestamp(10_000 + n));
        }
        assert_eq!(inventory.iter().count(), WEBHOOKS);
        let forgotten = inventory.take_changed().into_iter().filter(|(_, it)| it.is_none()).count();
        assert!(forgotten >= WEBHOOKS, "{forgotten}");
        assert!(inventory.take_changed().is_empty());
    }
}
