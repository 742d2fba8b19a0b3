//! Turns: what takes its time is done for so many at once, and for each client one after the other.
//! Whoever has much of it waits for themselves, and keeps another waiting for one at most.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Who waits for a turn or has one. No more clients are known than there are requests.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    clients: Mutex<HashMap<IpAddr, Queue>>,
}

/// A client's own queue, and how many requests are in it.
#[derive(Debug)]
struct Queue {
    own: Arc<Semaphore>,
    requests: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held; given back in this order")]
pub(super) struct Turn<'t> {
    all: SemaphorePermit<'t>,
    own: OwnedSemaphorePermit,
    place: Place<'t>,
}

/// A request's place in its client's queue.
#[derive(Debug)]
struct Place<'t> {
    turns: &'t Turns,
    client: IpAddr,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        Self { all: Semaphore::new(at_once), clients: Mutex::default() }
    }

    /// Waits for a turn of `client`, an address or the first one of its network.
    pub(super) async fn take(&self, client: IpAddr) -> Result<Turn<'_>, AcquireError> {
        let (place, own) = self.queue_up(client);
        let own = own.acquire_owned().await?;
        Ok(Turn { all: self.all.acquire().await?, own, place })
    }

    fn queue_up(&self, client: IpAddr) -> (Place<'_>, Arc<Semaphore>) {
        let mut clients = self.clients();
        let queue = clients
            .entry(client)
            .or_insert_with(|| Queue { own: Arc::new(Semaphore::new(1)), requests: 0 });
        queue.requests += 1;
        (Place { turns: self, client }, Arc::clone(&queue.own))
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, Queue>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut clients = self.turns.clients();
        if let Some(queue) = clients.get_mut(&self.client) {
            queue.requests -= 1;
            if queue.requests == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_client_with_much_to_do_keeps_another_waiting_for_one_of_it() {
        let [greedy, other] = ["203.0.113.1", "203.0.113.2"].map(|it| it.parse().unwrap());
        let turns = Turns::new(1);
        let first = turns.take(greedy).now_or_never().unwrap();
        let mut second = pin!(turns.take(greedy));
        let mut third = pin!(turns.take(greedy));
        assert!(
            second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none()
        );
        let mut others = pin!(turns.take(other));
        assert!(others.as_mut().now_or_never().is_none());
        drop(first);
        let turn = others.await;
        assert!(second.as_mut().now_or_never().is_none(), "it came later to what all wait for");
        drop(turn);
        drop(second.await);
        drop(third.await);
        assert!(turns.clients().is_empty());
    }

    #[tokio::test]
    async fn whoever_leaves_is_forgotten_and_keeps_nobody_waiting() {
        let [one, two] = ["203.0.113.1", "203.0.113.2"].map(|it| it.parse().unwrap());
        let turns = Turns::new(1);
        let turn = turns.take(one).now_or_never().unwrap();
        {
            let mut waits = pin!(turns.take(two));
            assert!(waits.as_mut().now_or_never().is_none());
            assert_eq!(turns.clients().len(), 2);
        }
        assert_eq!(turns.clients().len(), 1);
        drop(turn);
        assert!(turns.take(one).now_or_never().is_some());
        assert!(turns.clients().is_empty());
    }

    #[tokio::test]
    async fn clients_have_their_turns_side_by_side() {
        let turns = Turns::new(2);
        let of = |address: &str| turns.take(address.parse().unwrap()).now_or_never();
        let held = (of("203.0.113.1"), of("203.0.113.2"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(of("203.0.113.1").is_none() && of("203.0.113.3").is_none());
    }
}
