//! How much of something each client has at once: connections, handshakes, requests. The memory is
//! bounded by the total: a client that has nothing any more is forgotten.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use gateway_policy::Standing;

/// How many there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Of one client.
    pub per_client: usize,
}

impl Limits {
    /// The limits of one client, or of one that stands for `many` and may have all there is.
    #[must_use]
    pub fn of(self, many: bool) -> Self {
        Self { per_client: if many { self.total } else { self.per_client }, ..self }
    }
}

/// Why one is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    Total,
    /// This client has as many as it may have.
    Client,
}

impl Full {
    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Client => "per_client",
        }
    }
}

/// Everybody who has something, and how many of them.
#[derive(Debug, Default)]
pub struct Crowd {
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One of them; it is forgotten when this is dropped.
#[derive(Debug)]
pub struct Presence {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

impl Crowd {
    /// Lets `client` (a key: an IPv6 client counts by its prefix) come once more. Who that is, is
    /// asked only when it matters.
    ///
    /// # Errors
    ///
    /// Which of the limits is reached.
    pub fn enter(
        self: &Arc<Self>,
        client: IpAddr,
        limits: Limits,
        standing: impl Fn() -> Standing,
    ) -> Result<Presence, Full> {
        // Whoever looks it up has locks of their own.
        let crowded = self.total() >= Standing::Stranger.room(limits.total);
        let room = if crowded { standing() } else { Standing::Known }.room(limits.total);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.total >= room {
            return Err(Full::Total);
        }
        match present.by_client.entry(client) {
            Entry::Occupied(open) if *open.get() >= limits.per_client => return Err(Full::Client),
            Entry::Occupied(mut open) => *open.get_mut() += 1,
            Entry::Vacant(_) if limits.per_client == 0 => return Err(Full::Client),
            Entry::Vacant(none) => drop(none.insert(1)),
        }
        present.total += 1;
        Ok(Presence { crowd: Arc::clone(self), client })
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut present = self.crowd.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.total = present.total.saturating_sub(1);
        if let Entry::Occupied(mut open) = present.by_client.entry(self.client) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn each_limit_holds_and_leaving_makes_room() {
        let crowd = Arc::new(Crowd::default());
        let limits = Limits { total: 3, per_client: 2 };
        let first = crowd.enter(client(1), limits, || Standing::Known).unwrap();
        let _second = crowd.enter(client(1), limits, || Standing::Known).unwrap();
        assert_eq!(crowd.enter(client(1), limits, || Standing::Known).err(), Some(Full::Client));
        let _third = crowd.enter(client(2), limits, || Standing::Known).unwrap();
        assert_eq!(crowd.enter(client(3), limits, || Standing::Known).err(), Some(Full::Total));
        drop(first);
        assert!(crowd.enter(client(3), limits, || Standing::Known).is_ok());
    }

    #[test]
    fn the_last_room_is_kept_for_whoever_is_known() {
        let crowd = Arc::new(Crowd::default());
        let limits = Limits { total: 10, per_client: 10 };
        let come = |standing| crowd.enter(client(1), limits, move || standing);
        let _inside = [(); 8].map(|()| come(Standing::Stranger).unwrap());
        assert_eq!(come(Standing::Stranger).err(), Some(Full::Total));
        let _sender = come(Standing::Sender).unwrap();
        assert_eq!(come(Standing::Sender).err(), Some(Full::Total));
        let _known = come(Standing::Known).unwrap();
        assert_eq!(come(Standing::Known).err(), Some(Full::Total));
    }

    proptest! {
        #[test]
        fn whoever_has_left_is_forgotten(clients in proptest::collection::vec(0u8..8, 0..60)) {
            let crowd = Arc::new(Crowd::default());
            let limits = Limits { total: 20, per_client: 5 };
            let inside: Vec<_> = clients.into_iter().filter_map(|n| crowd.enter(client(n), limits, || Standing::Known).ok()).collect();
            prop_assert_eq!(crowd.total(), inside.len());
            prop_assert!(inside.len() <= 20);
            drop(inside);
            prop_assert_eq!(crowd.total(), 0);
            prop_assert!(crowd.present.lock().unwrap().by_client.is_empty());
        }
    }
}
