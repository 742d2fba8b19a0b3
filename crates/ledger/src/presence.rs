//! How many connections each client has open. The memory is bounded by the total: a client with
//! no connection is forgotten.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Of one client.
    pub per_client: usize,
}

/// Why a connection is one too many.
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

/// Everybody who is connected.
#[derive(Debug, Default)]
pub struct Crowd {
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub struct Presence {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

impl Crowd {
    /// Lets `client` (a key: an IPv6 client counts by its prefix) open one more connection.
    ///
    /// # Errors
    ///
    /// Which of the limits is reached.
    pub fn enter(self: &Arc<Self>, client: IpAddr, limits: Limits) -> Result<Presence, Full> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.total >= limits.total {
            return Err(Full::Total);
        }
        let open = present.by_client.get(&client).copied().unwrap_or(0);
        if open >= limits.per_client {
            return Err(Full::Client);
        }
        present.by_client.insert(client, open + 1);
        present.total += 1;
        Ok(Presence { crowd: Arc::clone(self), client })
    }

    /// How many connections are open.
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
        let first = crowd.enter(client(1), limits).unwrap();
        let _second = crowd.enter(client(1), limits).unwrap();
        assert_eq!(crowd.enter(client(1), limits).err(), Some(Full::Client));
        let _third = crowd.enter(client(2), limits).unwrap();
        assert_eq!(crowd.enter(client(3), limits).err(), Some(Full::Total));
        drop(first);
        assert!(crowd.enter(client(3), limits).is_ok());
    }

    proptest! {
        #[test]
        fn whoever_has_left_is_forgotten(clients in proptest::collection::vec(0u8..8, 0..60)) {
            let crowd = Arc::new(Crowd::default());
            let limits = Limits { total: 20, per_client: 5 };
            let inside: Vec<_> = clients.into_iter().filter_map(|n| crowd.enter(client(n), limits).ok()).collect();
            prop_assert_eq!(crowd.total(), inside.len());
            prop_assert!(inside.len() <= 20);
            drop(inside);
            prop_assert_eq!(crowd.total(), 0);
            prop_assert!(crowd.present.lock().unwrap().by_client.is_empty());
        }
    }
}
