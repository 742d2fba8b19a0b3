//! What is asked of the calls of a webhook before n8n is touched.

use std::{net::IpAddr, sync::Arc, time::Duration};

use gateway_n8n::Surface;
use http::{HeaderMap, Method, header};

use crate::{Network, PathRules, Reason, Source, rules::Encoded};

/// What is asked of a webhook's calls.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What it is called in metrics and logs: its place in the policy, since its path is a secret.
    pub name: Arc<str>,
    /// Its surface and its path in the policy: the same after a reload. It is a secret.
    pub path: Arc<str>,
    /// The methods that it takes; any if there are none given.
    pub methods: Vec<Method>,
    /// The media types that it takes, in lower case; any if there are none given.
    pub content_types: Vec<String>,
    /// Who sends it; whoever `access` lets in if nobody is given.
    pub from: Option<Vec<Arc<Network>>>,
    /// The largest body in bytes, if it may not be as large as others of its surface.
    pub size: Option<u64>,
    /// What its sender has to show.
    pub proof: Option<Asked>,
}

/// What a sender has to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The how manyth of the proofs that the mechanism knows.
    pub proof: usize,
    /// How it is called in the policy.
    pub name: &'static str,
    /// Whether it needs the body.
    pub reads_body: bool,
    /// For how long the same message is not taken again.
    pub once: Option<Duration>,
}

/// What is known of a signed message that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was not taken yet.
    First,
    /// n8n has it, and has not answered yet.
    UnderWay,
    /// It was taken before.
    Again,
}

impl Arrival {
    /// Why it is refused, if it is. What is under way may come to nothing, so that its sender is to try
    /// again: providers do so after 503, and take 4xx for the last word.
    #[must_use]
    pub fn refused(self) -> Option<Reason> {
        match self {
            Self::First => None,
            Self::UnderWay => Some(Reason::UnderWay),
            Self::Again => Some(Reason::Replayed),
        }
    }
}

impl Webhook {
    /// What the head of a call is refused for.
    #[must_use]
    pub fn refuses(&self, method: &Method, headers: &HeaderMap, from: IpAddr) -> Option<Reason> {
        let sent = self.from.as_ref();
        if sent.is_some_and(|from_all| !from_all.iter().any(|network| network.contains(from))) {
            return Some(Reason::WebhookSender);
        }
        // n8n answers a browser's question before its call by itself, and runs nothing
        // (`webhooks/webhook-request-handler.js`).
        if *method == Method::OPTIONS {
            return None;
        }
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return Some(Reason::WebhookMethod);
        }
        let typed = self.content_types.is_empty() || self.takes(headers);
        (!typed).then_some(Reason::WebhookType)
    }

    fn takes(&self, headers: &HeaderMap) -> bool {
        let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
        // Two could be read in two ways.
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        let kind = field.as_bytes().split(|it| *it == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii();
        self.content_types.iter().any(|it| kind.eq_ignore_ascii_case(it.as_bytes()))
    }
}

/// What is asked of which webhook.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// In the order of [`Surface::all`].
    surfaces: Vec<PathRules<Option<Arc<Webhook>>>>,
}

impl Default for Webhooks {
    /// Nothing of any.
    fn default() -> Self {
        Self { surfaces: Surface::all().map(|_| PathRules::new(None, Source::Default)).collect() }
    }
}

impl Webhooks {
    /// Says what is asked of `path` below `surface`, and of everything below it.
    pub fn set(&mut self, surface: Surface, path: &str, webhook: Webhook, source: Source) {
        if let Some(rules) = self.surfaces.get_mut(surface as usize) {
            rules.insert(path, Some(Arc::new(webhook)), source);
        }
    }

    /// Every one, with its surface, its path and what made it.
    pub fn iter(&self) -> impl Iterator<Item = (Surface, &str, &Arc<Webhook>, Source)> {
        Surface::all().zip(&self.surfaces).flat_map(|(surface, rules)| {
            let rules = rules.iter();
            rules.filter_map(move |it| Some((surface, &*it.path, it.value.as_ref()?, it.source)))
        })
    }

    pub(crate) fn find(
        &self,
        surface: Surface,
        tail: &str,
    ) -> Result<Option<(&Arc<Webhook>, Source)>, Encoded> {
        let Some(rules) = self.surfaces.get(surface as usize) else { return Ok(None) };
        let rule = rules.find(surface, tail)?;
        Ok(rule.value.as_ref().map(|webhook| (webhook, rule.source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Webhook {
        let prefixes = std::iter::once("192.0.2.0/24".parse().unwrap()).collect();
        Webhook {
            name: "webhook at 1:1".into(),
            path: "webhook/stripe".into(),
            methods: vec![Method::POST],
            content_types: vec!["application/json".to_owned()],
            from: Some(vec![Arc::new(Network::new("stripe", prefixes, Vec::new()))]),
            size: None,
            proof: None,
        }
    }

    #[test]
    fn a_head_is_refused_for_its_sender_its_method_or_its_type() {
        use Reason::{WebhookMethod as Wrong, WebhookSender as Sender, WebhookType as Type};
        let json = "application/json";
        for (from, method, types, expected) in [
            ("192.0.2.1", "POST", &[json][..], None),
            ("192.0.2.1", "POST", &["Application/JSON ; charset=utf-8"], None),
            ("192.0.2.2", "POST", &[], Some(Type)),
            ("192.0.2.2", "POST", &["text/plain"], Some(Type)),
            ("192.0.2.2", "POST", &[json, json], Some(Type)),
            ("192.0.2.2", "POST", &["application/json, text/plain"], Some(Type)),
            ("192.0.2.2", "GET", &[json], Some(Wrong)),
            ("203.0.113.1", "GET", &["text/plain"], Some(Sender)),
        ] {
            let mut headers = HeaderMap::new();
            for it in types {
                headers.append(header::CONTENT_TYPE, it.parse().unwrap());
            }
            let method = method.parse().unwrap();
            let found = webhook().refuses(&method, &headers, from.parse().unwrap());
            assert_eq!(found, expected, "{from} {method} {types:?}");
        }
    }
}
