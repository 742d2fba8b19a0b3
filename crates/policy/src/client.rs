//! Who the client is: the peer, or the address that a trusted proxy vouches for.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::PrefixSet;

/// A network that names its clients in a header of its own.
#[derive(Clone, Debug)]
pub struct Cdn {
    /// Its name in `clients.trusted_proxies`.
    pub name: &'static str,
    /// The header; believed only from this network's addresses.
    pub header: HeaderName,
    /// Its addresses.
    pub prefixes: PrefixSet,
}

/// Addresses that may speak for others.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Proxies that append to `X-Forwarded-For`.
    pub proxies: PrefixSet,
    /// Networks with a header of their own.
    pub cdns: Vec<Cdn>,
}

impl Trusted {
    /// Whether `address` may speak for others.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.proxies.contains(address) || self.cdn(address).is_some()
    }

    /// Whether any address of `net` may speak for others.
    #[must_use]
    pub fn overlaps(&self, net: IpNet) -> bool {
        self.proxies.overlaps(net) || self.cdns.iter().any(|cdn| cdn.prefixes.overlaps(net))
    }

    fn cdn(&self, address: IpAddr) -> Option<&Cdn> {
        self.cdns.iter().find(|cdn| cdn.prefixes.contains(address))
    }
}

/// How clients are told apart.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Who may speak for others. Nobody by default.
    pub trusted: Trusted,
    /// How many bits of an IPv6 address tell one client from another, 1 to 128; a household has
    /// a /64 (RFC 6177).
    pub ipv6_prefix: u8,
}

/// Whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its address, IPv4 where it is one.
    pub address: IpAddr,
    /// What counts as the same client: the address, or its IPv6 prefix.
    pub key: IpAddr,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// An address as it counts: IPv4 where it is one.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Clients {
    /// The client behind `peer`: the peer itself unless it is trusted; then what its own header
    /// says if it is a CDN, else the rightmost address of `X-Forwarded-For` that is not itself
    /// trusted. What cannot be read ends the walk: the last address that could be is the client.
    #[must_use]
    pub fn identify(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        self.client(match self.trusted.cdn(peer) {
            _ if !self.trusted.contains(peer) => peer,
            Some(cdn) => named(headers, &cdn.header).unwrap_or_else(|| self.walk(peer, headers)),
            None => self.walk(peer, headers),
        })
    }

    /// The client of one address.
    #[must_use]
    pub fn client(&self, address: IpAddr) -> Client {
        let address = address.to_canonical();
        let key = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let host_bits = 128_u32.saturating_sub(self.ipv6_prefix.into());
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Client { address, key }
    }

    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let fields = headers.get_all("x-forwarded-for").iter().rev();
        for hop in fields.flat_map(|field| field.as_bytes().rsplit(|b| *b == b',')) {
            let Some(address) = address(hop) else { return client };
            client = address;
            if !self.trusted.contains(client) {
                return client;
            }
        }
        client
    }
}

/// The one address in the field `name`; nothing if it is missing, doubled or not an address.
fn named(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut fields = headers.get_all(name).iter();
    let field = fields.next()?;
    if fields.next().is_some() { None } else { address(field.as_bytes()) }
}

/// An address as proxies write it: bare, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.ok().or_else(bracketed).map(|address| address.to_canonical())
}

/// A CDN that is known by name: its header, its published ranges and where they are published.
struct Known {
    name: &'static str,
    header: &'static str,
    ranges: &'static [&'static str],
}

/// Source: <https://www.cloudflare.com/ips/>, as of 2026-11; Cloudflare announces changes there.
const CLOUDFLARE: Known = Known {
    name: "cloudflare",
    header: "cf-connecting-ip",
    ranges: &[
        "173.245.48.0/20",
        "103.21.244.0/22",
        "103.22.200.0/22",
        "103.31.4.0/22",
        "141.101.64.0/18",
        "108.162.192.0/18",
        "190.93.240.0/20",
        "188.114.96.0/20",
        "197.234.240.0/22",
        "198.41.128.0/17",
        "162.158.0.0/15",
        "104.16.0.0/13",
        "104.24.0.0/14",
        "172.64.0.0/13",
        "131.0.72.0/22",
        "2400:cb00::/32",
        "2606:4700::/32",
        "2803:f800::/32",
        "2405:b500::/32",
        "2405:8100::/32",
        "2a06:98c0::/29",
        "2c0f:f248::/32",
    ],
};

/// Source: <https://api.fastly.com/public-ip-list>, as of 2026-11.
const FASTLY: Known = Known {
    name: "fastly",
    header: "fastly-client-ip",
    ranges: &[
        "23.235.32.0/20",
        "43.249.72.0/22",
        "103.244.50.0/24",
        "103.245.222.0/23",
        "103.245.224.0/24",
        "104.156.80.0/20",
        "140.248.64.0/18",
        "140.248.128.0/17",
        "146.75.0.0/17",
        "151.101.0.0/16",
        "157.52.64.0/18",
        "167.82.0.0/17",
        "167.82.128.0/20",
        "167.82.160.0/20",
        "167.82.224.0/20",
        "172.111.64.0/18",
        "185.31.16.0/22",
        "199.27.72.0/21",
        "199.232.0.0/16",
        "2a04:4e40::/32",
        "2a04:4e42::/32",
    ],
};

impl Cdn {
    /// The names that [`Cdn::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        [CLOUDFLARE.name, FASTLY.name].into_iter()
    }

    /// The CDN called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let known = [CLOUDFLARE, FASTLY].into_iter().find(|known| known.name == name)?;
        let prefixes = known.ranges.iter().filter_map(|range| range.parse::<IpNet>().ok());
        Some(Self {
            name: known.name,
            header: HeaderName::from_static(known.header),
            prefixes: prefixes.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clients(proxies: &[&str], cdns: &[&str]) -> Clients {
        let proxies = proxies.iter().map(|net| net.parse::<IpNet>().unwrap()).collect();
        let cdns = cdns.iter().map(|name| Cdn::named(name).unwrap()).collect();
        Clients { trusted: Trusted { proxies, cdns }, ipv6_prefix: 64 }
    }

    /// `proxies | cdns | peer | headers | client`
    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let cases = [
            ("", "", "192.0.2.1", "x-forwarded-for: 9.9.9.9", "192.0.2.1"),
            ("10.0.0.0/8", "", "10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.0/8", "", "10.0.0.1", "x-forwarded-for: 9.9.9.9, 192.0.2.1", "192.0.2.1"),
            ("10.0.0.0/8", "", "10.0.0.1", "x-forwarded-for: 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            (
                "10.0.0.0/8",
                "",
                "10.0.0.1",
                "x-forwarded-for: 9.9.9.9\nx-forwarded-for: 192.0.2.1",
                "192.0.2.1",
            ),
            ("10.0.0.0/8", "", "10.0.0.1", "x-forwarded-for: 9.9.9.9, rubbish", "10.0.0.1"),
            (
                "10.0.0.0/8",
                "",
                "10.0.0.1",
                "x-forwarded-for: 9.9.9.9, rubbish, 10.0.0.2",
                "10.0.0.2",
            ),
            ("10.0.0.0/8", "", "10.0.0.1", "x-forwarded-for: [2001:db8::1]:99", "2001:db8::1"),
            ("10.0.0.0/8", "", "10.0.0.1", "x-forwarded-for: 192.0.2.1:99", "192.0.2.1"),
            ("10.0.0.0/8", "", "::ffff:10.0.0.1", "x-forwarded-for: ::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.0/8", "", "10.0.0.1", "cf-connecting-ip: 9.9.9.9", "10.0.0.1"),
            ("", "cloudflare", "104.16.0.1", "cf-connecting-ip: 192.0.2.1", "192.0.2.1"),
            (
                "",
                "cloudflare",
                "104.16.0.1",
                "cf-connecting-ip: 9.9.9.9\ncf-connecting-ip: 8.8.8.8",
                "104.16.0.1",
            ),
            ("", "cloudflare", "104.16.0.1", "x-forwarded-for: 9.9.9.9, 192.0.2.1", "192.0.2.1"),
            ("", "cloudflare", "192.0.2.1", "cf-connecting-ip: 9.9.9.9", "192.0.2.1"),
            (
                "10.0.0.0/8",
                "cloudflare",
                "10.0.0.1",
                "x-forwarded-for: 192.0.2.1, 104.16.0.1\ncf-connecting-ip: 9.9.9.9",
                "192.0.2.1",
            ),
        ];
        for (proxies, cdns, peer, headers, client) in cases {
            let split = |text: &'static str| text.split(' ').filter(|it| !it.is_empty());
            let clients =
                clients(&split(proxies).collect::<Vec<_>>(), &split(cdns).collect::<Vec<_>>());
            let mut map = HeaderMap::new();
            for line in headers.lines() {
                let (name, value) = line.split_once(": ").unwrap();
                map.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let found = clients.identify(peer.parse().unwrap(), &map);
            assert_eq!(found.address, client.parse::<IpAddr>().unwrap(), "{peer} {headers}");
        }
    }

    #[test]
    fn an_ipv6_household_is_one_client() {
        let key = |address: &str| clients(&[], &[]).client(address.parse().unwrap()).key;
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::9"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn every_known_range_parses() {
        for known in [CLOUDFLARE, FASTLY] {
            assert!(
                known.ranges.iter().all(|range| range.parse::<IpNet>().is_ok()),
                "{}",
                known.name
            );
        }
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_believed_nothing(field in "[ -~]{0,60}", peer in any::<u32>()) {
            let peer = IpAddr::V4(std::net::Ipv4Addr::from_bits(peer));
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", field.parse().unwrap());
            let clients = clients(&["10.0.0.0/8"], &["cloudflare"]);
            prop_assume!(!clients.trusted.contains(peer));
            prop_assert_eq!(clients.identify(peer, &headers).address, peer);
        }
    }
}
