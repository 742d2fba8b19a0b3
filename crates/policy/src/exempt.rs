//! Who cannot be banned, whatever they do: a ban of theirs would be everybody's, or the operator's.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::Policy;

/// Why a client cannot be banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// It is this machine, or its default gateway.
    Own,
    /// It speaks for others.
    TrustedProxy,
    /// It is in one of the networks of `bans.never`.
    Never(String),
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("this machine's own address, or its default gateway's"),
            Self::TrustedProxy => f.write_str("a trusted proxy"),
            Self::Never(network) => write!(f, "in `{network}`, which is in `bans.never`"),
        }
    }
}

impl Policy {
    /// Why `address` cannot be banned, if it cannot. `is_own` tells the addresses of this machine
    /// and of its default gateway.
    #[must_use]
    pub fn exempt(&self, address: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Option<Exempt> {
        let address = address.to_canonical();
        if is_own(address) {
            return Some(Exempt::Own);
        }
        if self.clients.trusted.contains(address) {
            return Some(Exempt::TrustedProxy);
        }
        self.bans.never(address).map(|network| Exempt::Never(network.name().to_owned()))
    }

    /// Whom a ban of `net` would cover who cannot be banned, if it would cover any. `own` are the
    /// addresses of this machine and of its default gateway.
    #[must_use]
    pub fn covers_exempt(&self, net: IpNet, own: &[IpAddr]) -> Option<Exempt> {
        if own.iter().any(|address| net.contains(address)) {
            return Some(Exempt::Own);
        }
        if self.clients.trusted.overlaps(net) {
            return Some(Exempt::TrustedProxy);
        }
        let never = self.bans.never.iter().find(|(network, _)| network.overlaps(net));
        never.map(|(network, _)| Exempt::Never(network.name().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Network, Source, Trusted, decide::tests::policy};

    #[test]
    fn addresses_are_exempt_and_whoever_covers_them_is_told() {
        let set = |net: &str| [net.parse::<IpNet>().unwrap()].into_iter().collect();
        let mut policy = policy();
        policy.clients.trusted = Trusted { proxies: set("10.0.0.0/24"), cdns: Vec::new() };
        let team = Network::new("team", set("192.0.2.0/24"), Vec::new());
        policy.bans.never = vec![(Arc::new(team), Source::Default)];
        let own: IpAddr = "127.0.0.1".parse().unwrap();
        for (address, expected) in [
            ("127.0.0.1", Some(Exempt::Own)),
            ("::ffff:127.0.0.1", Some(Exempt::Own)),
            ("127.0.0.2", None),
            ("10.0.0.9", Some(Exempt::TrustedProxy)),
            ("192.0.2.9", Some(Exempt::Never("team".to_owned()))),
            ("203.0.113.1", None),
        ] {
            let found = policy.exempt(address.parse().unwrap(), |it| it == own);
            assert_eq!(found, expected, "{address}");
        }
        for (net, expected) in [
            ("127.0.0.0/8", Some(Exempt::Own)),
            ("10.0.0.0/8", Some(Exempt::TrustedProxy)),
            ("192.0.2.128/25", Some(Exempt::Never("team".to_owned()))),
            ("192.0.3.0/24", None),
        ] {
            assert_eq!(policy.covers_exempt(net.parse().unwrap(), &[own]), expected, "{net}");
        }
    }
}
