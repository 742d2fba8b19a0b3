//! Who is banned, in memory. A look-up is one hash for each prefix length that is in use.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use gateway_policy::{Ban, Jail, Timestamp};
use ipnet::IpNet;

/// How many bans there are at the most; with one more, the one that ends first ends at once.
pub const BANS: usize = 1_000_000;

/// A ban as it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banned {
    /// Who.
    pub net: IpNet,
    /// Where it sits, why and until when.
    pub ban: Ban,
    /// Who did it by hand, and why.
    pub by_hand: Option<ByHand>,
}

/// Who did something by hand, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
}

/// All bans.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    bans: HashMap<IpNet, Arc<Banned>>,
    ends: BTreeSet<(Timestamp, IpNet)>,
    /// How many bans have each prefix length: IPv4, then IPv6.
    lengths: [HashMap<u8, usize>; 2],
    /// How many bans each jail holds.
    jails: HashMap<Jail, usize>,
}

fn one_more<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

impl Sheet {
    fn lengths(&mut self, net: IpNet) -> &mut HashMap<u8, usize> {
        let [v4, v6] = &mut self.lengths;
        if matches!(net, IpNet::V4(_)) { v4 } else { v6 }
    }

    /// Puts a ban in, in place of another of the same net; gives back what had to go.
    pub(crate) fn insert(&mut self, banned: Banned) -> Option<Arc<Banned>> {
        let (net, until) = (banned.net, banned.ban.until);
        drop(self.remove(net));
        one_more(self.lengths(net), net.prefix_len());
        one_more(&mut self.jails, banned.ban.jail);
        self.ends.insert((until, net));
        self.bans.insert(net, Arc::new(banned));
        let first = *self.ends.first()?;
        if self.bans.len() > BANS { self.remove(first.1) } else { None }
    }

    pub(crate) fn remove(&mut self, net: IpNet) -> Option<Arc<Banned>> {
        let banned = self.bans.remove(&net)?;
        self.ends.remove(&(banned.ban.until, net));
        one_less(self.lengths(net), &net.prefix_len());
        one_less(&mut self.jails, &banned.ban.jail);
        Some(banned)
    }

    /// Every ban of `address` at `now`.
    pub(crate) fn covering(
        &self,
        address: IpAddr,
        now: Timestamp,
    ) -> impl Iterator<Item = &Arc<Banned>> {
        let [v4, v6] = &self.lengths;
        let lengths = if address.is_ipv4() { v4 } else { v6 };
        lengths.keys().filter_map(move |length| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            self.bans.get(&net).filter(|banned| banned.ban.until > now)
        })
    }

    /// The ban of `address` at `now`, if it is banned: of several the one that ends last.
    pub(crate) fn find(&self, address: IpAddr, now: Timestamp) -> Option<&Arc<Banned>> {
        self.covering(address, now).max_by_key(|banned| banned.ban.until)
    }

    pub(crate) fn get(&self, net: IpNet) -> Option<&Arc<Banned>> {
        self.bans.get(&net)
    }

    /// Takes out every ban that has ended.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Arc<Banned>> {
        let mut ended = Vec::new();
        while let Some((_, net)) = self.ends.first().filter(|(until, _)| *until <= now).copied() {
            ended.extend(self.remove(net));
        }
        ended
    }

    pub(crate) fn len(&self) -> usize {
        self.bans.len()
    }

    /// Every ban, the one that ends first first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Banned>> {
        self.ends.iter().filter_map(|(_, net)| self.bans.get(net))
    }

    /// How many bans each jail holds.
    pub(crate) fn in_jails(&self) -> Vec<(Jail, usize)> {
        Jail::all().map(|jail| (jail, self.jails.get(&jail).copied().unwrap_or(0))).collect()
    }

    /// Moves every ban by so many seconds, with a clock that was set.
    pub(crate) fn rebase(&mut self, step: i64) {
        let all: Vec<Arc<Banned>> = self.bans.values().cloned().collect();
        for banned in all {
            let mut moved = (*banned).clone();
            (moved.ban.since, moved.ban.until) =
                (moved.ban.since.moved(step), moved.ban.until.moved(step));
            drop(self.insert(moved));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn banned(net: &str, until: i64) -> Banned {
        let (since, until) = (Timestamp(0), Timestamp(until));
        let (jail, because) = (Jail::Scan, Jail::Scan);
        let ban = Ban { jail, because, since, until, nth: 1, notes: Vec::new(), dry_run: false };
        Banned { net: net.parse().unwrap(), ban, by_hand: None }
    }

    #[test]
    fn nets_of_any_length_are_found_until_they_end() {
        let mut sheet = Sheet::default();
        for net in ["192.0.2.7/32", "198.51.100.0/24", "2001:db8:0:1::/64", "2001:db8:2::/48"] {
            sheet.insert(banned(net, 10));
        }
        let find = |sheet: &Sheet, address: &str, now| {
            sheet.find(address.parse().unwrap(), Timestamp(now)).is_some()
        };
        for inside in ["192.0.2.7", "198.51.100.255", "2001:db8:0:1:f::1", "2001:db8:2:ffff::"] {
            assert!(find(&sheet, inside, 9), "{inside}");
            assert!(!find(&sheet, inside, 10), "{inside} has ended");
        }
        for outside in ["192.0.2.8", "198.51.101.0", "2001:db8:0:2::", "2001:db8:3::"] {
            assert!(!find(&sheet, outside, 9), "{outside}");
        }
        assert!(sheet.in_jails().contains(&(Jail::Scan, 4)));
        assert_eq!(sheet.expire(Timestamp(9)).len(), 0);
        assert_eq!(sheet.expire(Timestamp(10)).len(), 4);
        assert!(sheet.lengths.iter().all(HashMap::is_empty) && sheet.ends.is_empty());
        assert!(sheet.jails.is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(
            steps in proptest::collection::vec((0..6_u8, 28..=32_u8, 0..20_i64, any::<bool>()), 0..60),
            address in 0..6_u8,
            now in 0..20_i64,
        ) {
            let mut sheet = Sheet::default();
            let mut plain: HashMap<IpNet, i64> = HashMap::new();
            for (host, length, until, add) in steps {
                let net = IpNet::new([192, 0, 2, host * 9].into(), length).unwrap().trunc();
                if add {
                    sheet.insert(banned(&net.to_string(), until));
                    plain.insert(net, until);
                } else {
                    prop_assert_eq!(sheet.remove(net).is_some(), plain.remove(&net).is_some());
                }
            }
            let address = IpAddr::from([192, 0, 2, address * 9]);
            let expected = plain.iter().any(|(net, until)| net.contains(&address) && *until > now);
            prop_assert_eq!(sheet.find(address, Timestamp(now)).is_some(), expected);
            prop_assert_eq!(sheet.iter().count(), plain.len());
        }
    }
}
