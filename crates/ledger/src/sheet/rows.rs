//! A ban in 48 bytes, and a million of them in a heap: the one that ends first is the first. Where
//! each stands is kept in a table of numbers, since a table of bans would be half empty.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use gateway_policy::{Ban, Jail, Note, Timestamp};
use hashbrown::HashTable;
use ipnet::IpNet;

use super::{Banned, ByHand};

/// A ban, without what it tells of.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) net: IpNet,
    pub(super) jail: Jail,
    because: Jail,
    nth: u32,
    pub(super) until: Timestamp,
    /// For how long, in seconds; what began longer ago than this can say, 136 years, began then.
    lasts: u32,
    dry_run: bool,
    by_hand: Option<Arc<ByHand>>,
}

impl Row {
    pub(super) fn new(banned: &Banned, by_hand: Option<Arc<ByHand>>) -> Self {
        let Banned { net, ban, by_hand: _ } = banned;
        let Ban { jail, because, since, until, nth, notes: _, dry_run } = *ban;
        let lasts = u32::try_from(until.since(since).as_secs()).unwrap_or(u32::MAX);
        Self { net: *net, jail, because, nth, until, lasts, dry_run, by_hand }
    }

    /// The ban that it stands for.
    pub(super) fn banned(&self, notes: Vec<Note>) -> Banned {
        let Self { net, jail, because, nth, until, lasts, dry_run, ref by_hand } = *self;
        let since = until.moved(-i64::from(lasts));
        let ban = Ban { jail, because, since, until, nth, notes, dry_run };
        Banned { net, ban, by_hand: by_hand.as_deref().cloned() }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    heap: Vec<Row>,
    places: HashTable<u32>,
    hasher: RandomState,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The one that ends first.
    pub(super) fn first(&self) -> Option<&Row> {
        self.heap.first()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.heap.iter()
    }

    pub(super) fn get(&self, net: IpNet) -> Option<&Row> {
        self.heap.get(self.place(net)?)
    }

    /// Puts one in whose net has none.
    pub(super) fn insert(&mut self, row: Row) {
        let place = self.heap.len();
        let Ok(number) = u32::try_from(place) else { return };
        let (heap, hasher) = (&self.heap, &self.hasher);
        let hash = |row: &Row| hash(hasher, row.net);
        let old = |number: &u32| at(heap, *number).map_or(0, hash);
        self.places.insert_unique(hash(&row), number, old);
        self.heap.push(row);
        self.up(place);
    }

    pub(super) fn remove(&mut self, net: IpNet) -> Option<Row> {
        let place = self.place(net)?;
        let last = self.heap.len().checked_sub(1)?;
        self.swap(place, last);
        let hash = hash(&self.hasher, net);
        let entry = self.places.find_entry(hash, |it| is(*it, last)).ok()?;
        entry.remove();
        let row = self.heap.pop()?;
        if place < last {
            self.up(place);
            self.down(place);
        }
        Some(row)
    }

    /// Moves every end by so many seconds; the order stays.
    pub(super) fn rebase(&mut self, step: i64) {
        self.heap.iter_mut().for_each(|row| row.until = row.until.moved(step));
    }

    fn place(&self, net: IpNet) -> Option<usize> {
        let same = |number: &u32| at(&self.heap, *number).is_some_and(|row| row.net == net);
        let number = self.places.find(hash(&self.hasher, net), same)?;
        usize::try_from(*number).ok()
    }

    fn until(&self, place: usize) -> Option<Timestamp> {
        self.heap.get(place).map(|row| row.until)
    }

    fn up(&mut self, mut place: usize) {
        while let Some(above) = place.checked_sub(1).map(|it| it / 2) {
            if self.until(above) <= self.until(place) {
                return;
            }
            self.swap(above, place);
            place = above;
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let below = [2 * place + 1, 2 * place + 2].into_iter();
            let below = below.filter_map(|it| Some((self.until(it)?, it)));
            let Some((until, below)) = below.min() else { return };
            if self.until(place) <= Some(until) {
                return;
            }
            self.swap(place, below);
            place = below;
        }
    }

    /// Lets two change places.
    fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        let hash = |place: usize| self.heap.get(place).map(|row| hash(&self.hasher, row.net));
        let (Some(of_one), Some(of_other)) = (hash(one), hash(other)) else { return };
        let whose = |which: usize, number: &u32| is(*number, if which == 0 { one } else { other });
        if let [Some(a), Some(b)] = self.places.get_disjoint_mut([of_one, of_other], whose) {
            std::mem::swap(a, b);
            self.heap.swap(one, other);
        }
    }
}

/// As few bytes as there are: a look-up is mostly this.
fn hash(hasher: &RandomState, net: IpNet) -> u64 {
    match net {
        IpNet::V4(net) => {
            hasher.hash_one(u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len()))
        }
        IpNet::V6(net) => hasher.hash_one((net.addr().to_bits(), net.prefix_len())),
    }
}

fn at(heap: &[Row], number: u32) -> Option<&Row> {
    heap.get(usize::try_from(number).ok()?)
}

fn is(number: u32, place: usize) -> bool {
    usize::try_from(number) == Ok(place)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(host: u8, until: i64) -> Row {
        let (jail, since, until) = (Jail::Scan, Timestamp(-3), Timestamp(until));
        let ban =
            Ban { jail, because: jail, since, until, nth: 1, notes: Vec::new(), dry_run: false };
        let net = IpNet::from(std::net::IpAddr::from([192, 0, 2, host]));
        Row::new(&Banned { net, ban, by_hand: None }, None)
    }

    #[test]
    fn one_takes_48_bytes() {
        assert_eq!(size_of::<Row>(), 48);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_map(
            steps in proptest::collection::vec((0..40_u8, 0..30_i64, any::<bool>()), 0..300),
        ) {
            let (mut rows, mut plain) = (Rows::default(), BTreeMap::new());
            for (host, until, add) in steps {
                let row = row(host, until);
                let gone = rows.remove(row.net).map(|it| it.until.0);
                prop_assert_eq!(gone, plain.remove(&row.net));
                if add {
                    plain.insert(row.net, until);
                    rows.insert(row);
                }
                prop_assert_eq!(rows.first().map(|it| it.until.0), plain.values().min().copied());
                prop_assert_eq!((rows.len(), rows.places.len()), (plain.len(), plain.len()));
                for (net, until) in &plain {
                    prop_assert_eq!(rows.get(*net).map(|it| it.until.0), Some(*until));
                }
            }
        }
    }
}
