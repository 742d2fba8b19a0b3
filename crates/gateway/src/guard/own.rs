//! This machine's own addresses and its default gateway's: behind some container networks every
//! client comes from there, and a ban would be everybody's.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses that are never banned.
#[derive(Debug, Default)]
pub(crate) struct Own(HashSet<IpAddr>);

impl Own {
    /// As they are now.
    pub(crate) fn look() -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|why| {
            tracing::warn!(error = %why, "the addresses of this machine");
            Vec::new()
        });
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let all = loopback
            .into_iter()
            .chain(interfaces.iter().map(if_addrs::Interface::ip))
            .chain(gateways_v4(&read("/proc/net/route")))
            .chain(gateways_v6(&read("/proc/net/ipv6_route")));
        all.collect()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied()
    }
}

impl FromIterator<IpAddr> for Own {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        Self(addresses.into_iter().map(|address| address.to_canonical()).collect())
    }
}

/// Source: Linux `Documentation/networking/proc_net_tcp`, `net/ipv4/fib_trie.c`: destination in
/// the second column, gateway in the third, in the machine's own byte order.
fn gateways_v4(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let mut columns = line.split_whitespace();
        let (destination, gateway) = (columns.nth(1)?, columns.next()?);
        let bits = u32::from_str_radix(gateway, 16).ok()?;
        let address = Ipv4Addr::from(bits.to_ne_bytes());
        (destination == "00000000" && bits != 0).then_some(IpAddr::V4(address))
    };
    table.lines().skip(1).filter_map(gateway).collect()
}

/// Source: Linux `net/ipv6/route.c`: destination and its length first, the next hop in the fifth
/// column.
fn gateways_v6(table: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let mut columns = line.split_whitespace();
        let (destination, length) = (columns.next()?, columns.next()?);
        let bits = u128::from_str_radix(columns.nth(2)?, 16).ok()?;
        let default = length == "00" && destination.bytes().all(|b| b == b'0');
        (default && bits != 0).then_some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    };
    table.lines().filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_the_machine_and_its_neighbours_are_not() {
        let own = Own::look();
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(own.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!own.contains("127.0.0.2".parse().unwrap()));
    }

    #[test]
    fn default_gateways_are_read() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                  eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n\
                  eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n";
        if cfg!(target_endian = "little") {
            assert_eq!(gateways_v4(v4), ["172.17.0.1".parse::<IpAddr>().unwrap()]);
        }
        let zero = "00000000000000000000000000000000";
        let v6 = format!(
            "{zero} 00 {zero} 00 fd00dead000000000000000000000001 00000400 1 0 00000003 eth0\n\
             fd00dead000000000000000000000000 40 {zero} 00 {zero} 00000100 1 0 00000001 eth0\n"
        );
        assert_eq!(gateways_v6(&v6), ["fd00:dead::1".parse::<IpAddr>().unwrap()]);
        assert!(gateways_v4("").is_empty() && gateways_v6("rubbish").is_empty());
    }
}
