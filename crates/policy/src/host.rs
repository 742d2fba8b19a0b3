//! Which host a request is for.

use std::fmt;

use gateway_n8n::Origin;
use http::{HeaderValue, header::InvalidHeaderValue};

/// The host and port of a request, as one header field gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'h> {
    /// A name or an address, as it was spelled; an IPv6 address in brackets.
    pub host: &'h str,
    /// The port, if one was given.
    pub port: Option<u16>,
}

/// Not `host [ ":" port ]` (RFC 9110 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host with an optional port")]
pub struct InvalidAuthority;

impl<'h> Authority<'h> {
    /// Reads a `Host` field or an `:authority`.
    ///
    /// # Errors
    ///
    /// Anything but a host of letters, digits, `-`, `_` and `.` or an address, and a decimal port
    /// from 1 to 65535: no user, no path, no list.
    pub fn parse(text: &'h str) -> Result<Self, InvalidAuthority> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (text, None),
        };
        let name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.bytes().all(name),
        };
        let digits = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
        let port = match port {
            Some(port) if !digits(port) => return Err(InvalidAuthority),
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or(InvalidAuthority)?),
            None => None,
        };
        if valid { Ok(Self { host, port }) } else { Err(InvalidAuthority) }
    }

    /// It as a field, which is what was `said` if that is spelled like it.
    pub(crate) fn field(
        &self,
        said: Option<&HeaderValue>,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        match said.filter(|said| self.is_spelled(said.as_bytes())) {
            Some(said) => Ok(said.clone()),
            None => HeaderValue::try_from(self.to_string()),
        }
    }

    /// Whether `said`, which names it, is spelled as it is.
    fn is_spelled(&self, said: &[u8]) -> bool {
        match (said.strip_prefix(self.host.as_bytes()), self.port) {
            (Some([]), None) => true,
            (Some([b':', first, ..]), Some(_)) => *first != b'0',
            (Some(_) | None, Some(_) | None) => false,
        }
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What one of the policy's hosts serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicHost {
    /// Everything: there is only one.
    Only,
    /// The editor, its API and what belongs to them.
    Site,
    /// What third parties call.
    Webhooks,
}

impl PublicHost {
    /// Whether surfaces of `origin` are served there.
    #[must_use]
    pub fn serves(self, origin: Origin) -> bool {
        match (self, origin) {
            (Self::Only, _) | (_, Origin::Either) => true,
            (Self::Site, origin) => origin == Origin::Site,
            (Self::Webhooks, origin) => origin == Origin::Webhooks,
        }
    }
}

/// The hosts that the policy names, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    site: String,
    webhooks: Option<String>,
}

impl Hosts {
    /// One host for everything, or a second one for what third parties call.
    #[must_use]
    pub fn new(site: &str, webhooks: Option<&str>) -> Self {
        let webhooks = webhooks.map(str::to_ascii_lowercase);
        let site = site.to_ascii_lowercase();
        Self { webhooks: webhooks.filter(|other| *other != site), site }
    }

    /// The names, the site's first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.site.as_str()).chain(self.webhooks.as_deref())
    }

    /// The policy's own spelling of `host` and what it serves; nothing for a stranger.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<(&str, PublicHost)> {
        if host.eq_ignore_ascii_case(&self.site) {
            let serves = if self.webhooks.is_some() { PublicHost::Site } else { PublicHost::Only };
            return Some((&self.site, serves));
        }
        let webhooks = self.webhooks.as_deref()?;
        host.eq_ignore_ascii_case(webhooks).then_some((webhooks, PublicHost::Webhooks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_with_and_without_a_port() {
        let read = |text| Authority::parse(text).map(|it| (it.host.to_owned(), it.port));
        assert_eq!(read("N8n.example.com"), Ok(("N8n.example.com".to_owned(), None)));
        assert_eq!(read("n8n.test:8443"), Ok(("n8n.test".to_owned(), Some(8443))));
        assert_eq!(read("[::1]"), Ok(("[::1]".to_owned(), None)));
        assert_eq!(read("[::1]:443"), Ok(("[::1]".to_owned(), Some(443))));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", ":443", "a:", "a:0", "a:65536", "a:+1", "a:abc", "a:1:2", "u@a", "a/b", "a?b",
            "a#b", "a b", "a,b", "a\\b", "<a>", "[::1", "[x]", "[::1]x", "::1", "a\tb", "é",
        ] {
            assert_eq!(Authority::parse(text), Err(InvalidAuthority), "{text:?}");
        }
    }

    #[test]
    fn two_hosts_share_the_surfaces_between_them() {
        let one = Hosts::new("N8n.test", None);
        assert_eq!(one.find("n8n.TEST"), Some(("n8n.test", PublicHost::Only)));
        assert_eq!(one.find("hooks.test"), None);
        let two = Hosts::new("n8n.test", Some("hooks.test"));
        let serves = |host: &str, origin| two.find(host).is_some_and(|(_, it)| it.serves(origin));
        assert!(serves("n8n.test", Origin::Site) && !serves("n8n.test", Origin::Webhooks));
        assert!(serves("hooks.test", Origin::Webhooks) && !serves("hooks.test", Origin::Site));
        assert!(serves("hooks.test", Origin::Either) && serves("n8n.test", Origin::Either));
    }
}
