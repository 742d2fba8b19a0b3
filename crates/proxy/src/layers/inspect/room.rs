//! How much of bodies is held at once: a body that somebody asks about is in memory until n8n has it, and
//! strangers send such bodies.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// How many bytes of bodies are held at once, in all and of one client. Four of the largest that n8n takes as
/// JSON may come from one address at a time.
const TOTAL: usize = 256 << 20;
const PER_CLIENT: usize = 64 << 20;

/// What may be held without asking: forms to sign in with, and most messages.
pub(super) const FREE: usize = 64 << 10;

/// What is held, by clients' keys. Only who holds something is in it.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    clients: HashMap<IpAddr, usize>,
}

impl Room {
    /// That of the process: every core's stack holds bodies in the same memory.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Room>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }
}

/// A part of the room; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    client: IpAddr,
    bytes: usize,
}

impl Share {
    /// A share of nothing yet.
    pub(super) fn new(room: &Arc<Room>, client: IpAddr) -> Self {
        Self { room: Arc::clone(room), client, bytes: 0 }
    }

    /// Makes it at least so large; whether there was room for it.
    pub(super) fn reaches(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(FREE.max(self.bytes));
        if more == 0 {
            return true;
        }
        let mut taken = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = bytes - self.bytes;
        let of_client = taken.clients.get(&self.client).copied().unwrap_or_default();
        if taken.total + more > TOTAL || of_client + more > PER_CLIENT {
            return false;
        }
        taken.total += more;
        *taken.clients.entry(self.client).or_default() += more;
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= self.bytes;
        if let Some(held) = taken.clients.get_mut(&self.client) {
            *held -= self.bytes;
            if *held == 0 {
                taken.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_and_all_of_them_have_a_bound_and_what_is_over_is_given_back() {
        let room = Arc::<Room>::default();
        let client = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut small = Share::new(&room, client(1));
        assert!(small.reaches(FREE) && small.bytes == 0, "it takes no place");
        let mut one = Share::new(&room, client(1));
        assert!(one.reaches(FREE + 1) && one.reaches(PER_CLIENT));
        assert!(!small.reaches(FREE + 1), "the client has no more");
        let mut others: Vec<Share> = (2..5).map(|n| Share::new(&room, client(n))).collect();
        assert!(others.iter_mut().all(|it| it.reaches(PER_CLIENT)));
        let mut late = Share::new(&room, client(9));
        assert!(!late.reaches(PER_CLIENT), "nobody has more");
        drop(one);
        assert!(late.reaches(PER_CLIENT));
        drop((late, others, small));
        let taken = room.0.lock().unwrap();
        assert!(taken.total == 0 && taken.clients.is_empty());
    }
}
