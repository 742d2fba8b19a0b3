//! How much there is to do, and who is let in when it is too much: connections, handshakes,
//! requests, memory.

mod memory;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use gateway_edge::Pass;
use gateway_ledger::{Crowd, Full, KEYS, Limiter, Limits, Presence};
use gateway_policy::{Client, Pressure, Quota, Standing};
use gateway_proxy::Live;
use tokio::sync::watch;

pub(crate) use self::memory::{ceiling, watch_memory};
use crate::Guard;

/// How often connections may be made; nothing where they may be made as often as anybody likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// In all.
    pub total: Option<Quota>,
    /// By one client.
    pub per_client: Option<Quota>,
}

/// What is going on.
#[derive(Debug)]
pub(crate) struct Load {
    /// Who is connected.
    pub(crate) connections: Arc<Crowd>,
    /// Whose handshakes have not ended.
    pub(crate) handshakes: Arc<Crowd>,
    /// Whose requests have not ended.
    pub(crate) requests: Arc<Crowd>,
    arrivals: RwLock<Budgets>,
    hasher: RandomState,
    pressure: watch::Sender<Pressure>,
}

#[derive(Debug, Default)]
struct Budgets {
    of: Arrivals,
    total: Option<Limiter>,
    per_client: Option<Limiter>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: Arc::default(),
            handshakes: Arc::default(),
            requests: Arc::default(),
            arrivals: RwLock::default(),
            hasher: RandomState::new(),
            pressure: watch::Sender::new(Pressure::Low),
        }
    }
}

impl Load {
    /// Takes over how often connections may be made; what is as before keeps its budgets.
    pub(crate) fn adopt(&self, of: Arrivals) {
        let mut budgets = self.arrivals.write().unwrap_or_else(PoisonError::into_inner);
        if budgets.of != of {
            let limiter = |keys| move |quota| Limiter::new(quota, keys);
            let (total, per_client) = (of.total.map(limiter(1)), of.per_client.map(limiter(KEYS)));
            *budgets = Budgets { of, total, per_client };
        }
    }

    /// Forgets the keys whose budgets are whole again.
    pub(crate) fn sweep(&self) {
        let budgets = self.arrivals.read().unwrap_or_else(PoisonError::into_inner);
        budgets.per_client.iter().for_each(Limiter::sweep);
    }

    /// How much memory is used.
    pub(crate) fn pressure(&self) -> Pressure {
        *self.pressure.borrow()
    }

    /// Takes down how much memory is used; whether that is news.
    pub(crate) fn presses(&self, pressure: Pressure) -> bool {
        self.pressure.send_if_modified(|now| std::mem::replace(now, pressure) != pressure)
    }

    /// Lets somebody connect: a client, or one that brings `many` clients' connections, which no
    /// limit of one client's holds for.
    ///
    /// # Errors
    ///
    /// Why not, as a metric names it.
    pub(crate) fn connect(
        &self,
        client: IpAddr,
        many: bool,
        limits: Limits,
        standing: impl Fn() -> Standing,
    ) -> Result<Presence, &'static str> {
        if !self.may_arrive(client, many, &standing) {
            return Err("rate");
        }
        let pressure = self.pressure();
        if pressure != Pressure::Low && !pressure.admits(standing()) {
            return Err("memory");
        }
        let entered = self.connections.enter(client, limits.of(many), &standing);
        entered.map_err(Full::name)
    }

    fn may_arrive(&self, client: IpAddr, many: bool, standing: impl Fn() -> Standing) -> bool {
        let budgets = self.arrivals.read().unwrap_or_else(PoisonError::into_inner);
        let charge = |limiter: &Option<Limiter>, key| match limiter {
            Some(limiter) => limiter.charge(key).is_ok(),
            None => true,
        };
        (many || charge(&budgets.per_client, self.hasher.hash_one(client)))
            && (charge(&budgets.total, 0) || standing() > Standing::Stranger)
    }
}

/// What somebody has who is connected.
#[derive(Debug)]
pub struct Guest {
    _presence: Presence,
    client: Client,
    guard: Guard,
    rules: Live,
}

impl Guest {
    pub(crate) fn new(presence: Presence, client: Client, guard: Guard, rules: Live) -> Self {
        Self { _presence: presence, client, guard, rules }
    }

    /// Whether its room is given to others when there is none left.
    fn must_go(&self) -> bool {
        let rules = Arc::clone(&self.rules.borrow());
        self.guard.standing(self.client, None, &rules.policy) == Standing::Stranger
    }
}

impl Pass for Guest {
    async fn revoked(&self) {
        let mut pressure = self.guard.load().pressure.subscribe();
        loop {
            // Whoever could tell is here as long as the guard is.
            let critical = pressure.wait_for(|it| *it == Pressure::Critical).await.is_ok();
            if critical && self.must_go() {
                return;
            }
            drop(pressure.changed().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROOM: Limits = Limits { total: 10, per_client: 10 };

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_counted_by_client_and_in_all() {
        let load = Load::default();
        let quota = |rate| Some(Quota { rate, period: Duration::from_secs(1), burst: rate });
        load.adopt(Arrivals { total: quota(5), per_client: quota(2) });
        let limits = Limits { total: 100, per_client: 100 };
        let connect =
            |n, standing| load.connect(client(n), false, limits, move || standing).map(drop);
        assert!(connect(1, Standing::Stranger).is_ok() && connect(1, Standing::Stranger).is_ok());
        assert_eq!(connect(1, Standing::Stranger), Err("rate"), "a client's own");
        assert!(load.connect(client(1), true, limits, || Standing::Stranger).is_ok(), "many's");
        for n in 2..4 {
            assert!(connect(n, Standing::Stranger).is_ok());
        }
        assert_eq!(connect(9, Standing::Stranger), Err("rate"), "everybody's");
        assert!(connect(9, Standing::Known).is_ok(), "who is known is not kept out by others");
        load.adopt(Arrivals { total: quota(5), per_client: quota(2) });
        assert_eq!(connect(10, Standing::Stranger), Err("rate"), "a reload gives nothing");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(connect(10, Standing::Stranger).is_ok());
    }

    #[test]
    fn strangers_go_first_when_memory_is_short() {
        let load = Load::default();
        assert!(load.connect(client(1), false, ROOM, || Standing::Stranger).is_ok());
        assert!(load.presses(Pressure::High) && !load.presses(Pressure::High));
        let refused = load.connect(client(2), false, ROOM, || Standing::Stranger).map(drop);
        assert_eq!(refused, Err("memory"));
        assert!(load.connect(client(3), false, ROOM, || Standing::Sender).is_ok());
        load.presses(Pressure::Critical);
        assert_eq!(
            load.connect(client(4), false, ROOM, || Standing::Sender).map(drop),
            Err("memory")
        );
        assert!(load.connect(client(5), false, ROOM, || Standing::Known).is_ok());
    }
}
