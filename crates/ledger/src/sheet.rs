//! Who is banned, in memory. A look-up is one hash for each prefix length that is in use.

mod rows;

use std::{
    collections::{HashMap, VecDeque},
    hash::{Hash, RandomState},
    net::IpAddr,
    sync::Arc,
};

use gateway_policy::{Ban, Jail, Note, Timestamp};
use ipnet::IpNet;
use lru::LruCache;

use self::rows::{Row, Rows};

/// How many bans there are at the most; with one more, the one that ends first ends at once. All of
/// them take less than 64 MiB, and what is written by hand into each of them comes to that.
pub const BANS: usize = 1_000_000;

/// Of how many bans it is remembered in memory what they are for: of the last ones.
pub const TOLD: usize = 4_000;

/// How many bans are taken out at once: whoever looks one up waits for that.
const ENDS: usize = 10_000;

/// Of how many reasons that were given by hand each is kept once: a list has one.
const REASONS: usize = 16;

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
#[derive(Debug)]
pub(crate) struct Sheet {
    rows: Rows,
    told: LruCache<IpNet, Arc<[Note]>, RandomState>,
    reasons: VecDeque<Arc<ByHand>>,
    /// How many bans have each prefix length: IPv4, then IPv6.
    lengths: [HashMap<u8, usize>; 2],
    /// How many bans each jail holds.
    jails: HashMap<Jail, usize>,
}

impl Default for Sheet {
    fn default() -> Self {
        let told = LruCache::unbounded_with_hasher(RandomState::new());
        let (rows, reasons) = (Rows::default(), VecDeque::new());
        Self { rows, told, reasons, lengths: Default::default(), jails: HashMap::new() }
    }
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

    /// Puts a ban in, in place of another of the same net; gives back whose had to go.
    pub(crate) fn insert(&mut self, banned: Banned) -> Option<IpNet> {
        let net = banned.net;
        drop(self.take(net));
        one_more(self.lengths(net), net.prefix_len());
        one_more(&mut self.jails, banned.ban.jail);
        let by_hand = banned.by_hand.clone().map(|reason| self.reason(reason));
        self.rows.insert(Row::new(&banned, by_hand));
        if !banned.ban.notes.is_empty() {
            self.told.put(net, banned.ban.notes.into());
            if self.told.len() > TOLD {
                self.told.pop_lru();
            }
        }
        let first = self.rows.first()?.net;
        if self.rows.len() > BANS { self.take(first).map(|(row, _)| row.net) } else { None }
    }

    /// The reason as it was given before, if it was.
    fn reason(&mut self, reason: ByHand) -> Arc<ByHand> {
        if let Some(known) = self.reasons.iter().find(|it| ***it == reason) {
            return Arc::clone(known);
        }
        let reason = Arc::new(reason);
        self.reasons.push_back(Arc::clone(&reason));
        if self.reasons.len() > REASONS {
            self.reasons.pop_front();
        }
        reason
    }

    fn take(&mut self, net: IpNet) -> Option<(Row, Vec<Note>)> {
        let row = self.rows.remove(net)?;
        one_less(self.lengths(net), &net.prefix_len());
        one_less(&mut self.jails, &row.jail);
        let notes = self.told.pop(&net);
        Some((row, notes.map(|notes| notes.to_vec()).unwrap_or_default()))
    }

    pub(crate) fn remove(&mut self, net: IpNet) -> Option<Arc<Banned>> {
        let (row, notes) = self.take(net)?;
        Some(Arc::new(row.banned(notes)))
    }

    fn banned(&self, row: &Row) -> Arc<Banned> {
        let notes = self.told.peek(&row.net).map(|notes| notes.to_vec());
        Arc::new(row.banned(notes.unwrap_or_default()))
    }

    fn rows_of(&self, address: IpAddr, now: Timestamp) -> impl Iterator<Item = &Row> {
        let [v4, v6] = &self.lengths;
        let lengths = if address.is_ipv4() { v4 } else { v6 };
        lengths.keys().filter_map(move |length| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            self.rows.get(net).filter(|row| row.until > now)
        })
    }

    /// Every ban of `address` at `now`.
    pub(crate) fn covering(
        &self,
        address: IpAddr,
        now: Timestamp,
    ) -> impl Iterator<Item = Arc<Banned>> {
        self.rows_of(address, now).map(|row| self.banned(row))
    }

    /// The ban of `address` at `now`, if it is banned: of several the one that ends last.
    pub(crate) fn find(&self, address: IpAddr, now: Timestamp) -> Option<Arc<Banned>> {
        let row = self.rows_of(address, now).max_by_key(|row| row.until)?;
        Some(self.banned(row))
    }

    pub(crate) fn get(&self, net: IpNet) -> Option<Arc<Banned>> {
        self.rows.get(net).map(|row| self.banned(row))
    }

    /// When the ban of `net` ends, if there is one.
    pub(crate) fn until(&self, net: IpNet) -> Option<Timestamp> {
        self.rows.get(net).map(|row| row.until)
    }

    /// The ban that the request `id` brought about, as far as that is remembered.
    pub(crate) fn told(&self, id: u64) -> Option<Arc<Banned>> {
        let tells = |notes: &[Note]| notes.iter().any(|note| note.request == id && id != 0);
        let (net, _) = self.told.iter().find(|(_, notes)| tells(notes))?;
        self.get(*net)
    }

    /// Takes out bans that have ended, the first ones first: nobody is held by one that waits for it.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Arc<Banned>> {
        let has_ended = |row: &&Row| row.until <= now;
        let next = || {
            let net = self.rows.first().filter(has_ended)?.net;
            self.remove(net)
        };
        std::iter::from_fn(next).take(ENDS).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every ban, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Banned>> {
        self.rows.iter().map(|row| self.banned(row))
    }

    /// When each ban ends, and whose it is, in no order.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (Timestamp, IpNet)> {
        self.rows.iter().map(|row| (row.until, row.net))
    }

    /// How many bans each jail holds.
    pub(crate) fn in_jails(&self) -> Vec<(Jail, usize)> {
        Jail::all().map(|jail| (jail, self.jails.get(&jail).copied().unwrap_or(0))).collect()
    }

    /// Moves every ban by so many seconds, with a clock that was set.
    pub(crate) fn rebase(&mut self, step: i64) {
        self.rows.rebase(step);
    }
}

#[cfg(test)]
mod tests {
    use gateway_policy::Offence;
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
        assert!(sheet.lengths.iter().all(HashMap::is_empty));
        assert!(sheet.jails.is_empty());
    }

    #[test]
    fn many_that_end_together_go_piece_by_piece() {
        let mut sheet = Sheet::default();
        for n in 0..=u32::try_from(ENDS).unwrap() {
            let net = IpNet::from(IpAddr::from(n.to_be_bytes()));
            sheet.insert(Banned { net, ..banned("192.0.2.0/32", i64::from(n % 7)) });
        }
        let went: Vec<_> = (0..3).map(|_| sheet.expire(Timestamp(6)).len()).collect();
        assert_eq!(went, [ENDS, 1, 0]);
    }

    #[test]
    fn what_a_ban_says_is_kept_and_what_many_say_is_forgotten_first() {
        let note = |request| Note {
            at: Timestamp(1),
            offence: Offence::Probe,
            surface: None,
            request,
            account: None,
        };
        let reason = ByHand { who: "an operator".to_owned(), why: "a list".to_owned() };
        let (mut sheet, mut all) = (Sheet::default(), Vec::new());
        for n in 0..=u32::try_from(TOLD).unwrap() {
            let mut banned = banned("192.0.2.0/32", 10);
            banned.net = IpNet::from(IpAddr::from(n.to_be_bytes()));
            banned.ban.notes = vec![note(u64::from(n) + 1)];
            banned.by_hand = Some(reason.clone());
            sheet.insert(banned.clone());
            all.push(banned);
        }
        assert_eq!(sheet.get(all[1].net).as_deref(), Some(&all[1]));
        assert_eq!(sheet.told(2).as_deref(), Some(&all[1]));
        all[0].ban.notes.clear();
        assert_eq!(sheet.get(all[0].net).as_deref(), Some(&all[0]));
        assert_eq!((sheet.told(1), sheet.told(0)), (None, None));
        assert_eq!(sheet.reasons.len(), 1);
        assert_eq!(sheet.remove(all[1].net).as_deref(), Some(&all[1]));
        assert_eq!(sheet.told(2), None);
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
