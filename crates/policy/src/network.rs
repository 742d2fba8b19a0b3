//! Names for addresses.

use std::{fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;

/// Addresses that are told by more than their prefix: the country or the network they belong to.
pub trait Membership: fmt::Debug + Send + Sync {
    /// Whether `address` belongs.
    fn contains(&self, address: IpAddr) -> bool;
}

/// A set of address ranges. A look-up is a binary search, whatever the set's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl PrefixSet {
    /// Whether `address` is in one of the ranges. An IPv4 address written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => within(&self.v6, v6.to_bits()),
        }
    }

    /// Whether any address of `net` is in one of the ranges.
    #[must_use]
    pub fn overlaps(&self, net: IpNet) -> bool {
        match net {
            IpNet::V4(net) => overlap(&self.v4, net.network().to_bits(), net.broadcast().to_bits()),
            IpNet::V6(net) => overlap(&self.v6, net.network().to_bits(), net.broadcast().to_bits()),
        }
    }

    /// Whether the set has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }
}

fn overlap<T: Ord + Copy>(ranges: &[(T, T)], first: T, last: T) -> bool {
    let after = ranges.partition_point(|(begins, _)| *begins <= last);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, ends)| first <= *ends)
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], bits: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= bits);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| bits <= *last)
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut kept: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match kept.last_mut() {
            Some(open) if first <= open.1 => open.1 = open.1.max(last),
            Some(_) | None => kept.push((first, last)),
        }
    }
    kept
}

/// Addresses under a name of the policy.
#[derive(Clone, Debug)]
pub struct Network {
    name: Box<str>,
    prefixes: PrefixSet,
    memberships: Vec<Arc<dyn Membership>>,
}

impl Network {
    /// A network of plain ranges and of what else tells who belongs.
    #[must_use]
    pub fn new(name: &str, prefixes: PrefixSet, memberships: Vec<Arc<dyn Membership>>) -> Self {
        Self { name: name.into(), prefixes, memberships }
    }

    /// Its name in the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether any address of `net` belongs to it, as far as that can be told: of countries and
    /// systems only the first address of `net` is looked up.
    #[must_use]
    pub fn overlaps(&self, net: IpNet) -> bool {
        self.prefixes.overlaps(net) || self.contains(net.addr())
    }

    /// Whether `address` belongs to it. An IPv4 address written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.prefixes.contains(address) || self.memberships.iter().any(|it| it.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(nets: &[&str]) -> PrefixSet {
        nets.iter().map(|net| net.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn ranges_that_touch_or_nest_are_found() {
        let set =
            set(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/48", "0.0.0.0/32"]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3"]
        {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.8", "2001:db8:1::", "::a00:1"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_search(
            nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..40),
            address in any::<u32>(),
        ) {
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(bits, len)| IpNet::new(std::net::Ipv4Addr::from_bits(bits).into(), len).unwrap())
                .collect();
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(address));
            let wide = IpNet::new(address, 12).unwrap().trunc();
            let touches = |net: &IpNet| net.contains(&wide) || wide.contains(net);
            let set: PrefixSet = nets.iter().copied().collect();
            prop_assert_eq!(set.overlaps(wide), nets.iter().any(touches));
            let plain = nets.iter().any(|net| net.contains(&address));
            prop_assert_eq!(nets.into_iter().collect::<PrefixSet>().contains(address), plain);
        }
    }
}
