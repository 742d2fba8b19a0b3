//! Budgets (GCRA) for as many keys as are asked for, in a memory that is bounded: the key that was
//! asked for longest ago is forgotten first.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use gateway_policy::Quota;
use governor::{
    RateLimiter, clock, middleware::StateInformationMiddleware, nanos::Nanos, state::StateStore,
};
use lru::LruCache;
use tokio::time::Instant;

/// How many keys a limiter remembers at the most. One takes less than 100 bytes.
pub const KEYS: usize = 1 << 15;

/// The keys are spread over so many locks.
const SHARDS: usize = 16;

/// A budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// How long until one more request may be made.
    pub wait: Duration,
}

/// One limit's budgets.
pub struct Limiter {
    quota: Quota,
    budgets: RateLimiter<u64, Coldest, Clock, StateInformationMiddleware>,
}

impl Limiter {
    /// Budgets of `quota` each, for at most `keys` keys at once.
    #[must_use]
    pub fn new(quota: Quota, keys: usize) -> Self {
        let burst = NonZeroU32::new(quota.burst).unwrap_or(NonZeroU32::MIN);
        let gcra = governor::Quota::with_period(quota.interval())
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = Clock { start: Instant::now() };
        let budgets = RateLimiter::new(gcra, Coldest::new(keys), clock);
        Self { quota, budgets }
    }

    /// What the budgets are.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Charges one request to the budget of `key`, and tells how many more may be made at once.
    ///
    /// # Errors
    ///
    /// [`Spent`] if there is nothing left of it.
    pub fn charge(&self, key: u64) -> Result<u32, Spent> {
        let charged = self.budgets.check_key(&key);
        charged.map(|state| state.remaining_burst_capacity()).map_err(|not_until| {
            let now = clock::Clock::now(self.budgets.clock());
            Spent { wait: not_until.wait_time_from(now) }
        })
    }

    /// How many keys are remembered now.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.budgets.len()
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("quota", &self.quota).finish_non_exhaustive()
    }
}

/// tokio's time, so that tests pause it.
#[derive(Clone, Debug)]
struct Clock {
    start: Instant,
}

impl clock::Clock for Clock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What is remembered of each key; the coldest is forgotten.
struct Coldest {
    shards: Vec<Mutex<LruCache<u64, Nanos, RandomState>>>,
    keys_each: usize,
    hasher: RandomState,
}

impl Coldest {
    fn new(keys: usize) -> Self {
        let shard = |_| Mutex::new(LruCache::unbounded_with_hasher(RandomState::new()));
        let keys_each = keys.div_ceil(SHARDS).max(1);
        Self { shards: (0..SHARDS).map(shard).collect(), keys_each, hasher: RandomState::new() }
    }
}

impl StateStore for Coldest {
    type Key = u64;

    #[expect(clippy::indexing_slicing, reason = "a remainder by the number of shards")]
    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[hash].lock().unwrap_or_else(PoisonError::into_inner);
        // A refusal warms a key as well: whoever is kept out must not be let in by being forgotten.
        let (value, state) = measure(shard.get(key).copied())?;
        shard.put(*key, state);
        if shard.len() > self.keys_each {
            shard.pop_lru();
        }
        Ok(value)
    }
}

impl governor::state::keyed::ShrinkableKeyedStateStore<u64> for Coldest {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let old = |(key, state): (&u64, &Nanos)| (*state <= drop_below).then_some(*key);
            let old: Vec<u64> = shard.iter().filter_map(old).collect();
            for key in old {
                shard.pop(&key);
            }
        }
    }

    fn len(&self) -> usize {
        let lengths = self.shards.iter();
        lengths.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Limiter {
    /// Forgets the keys whose budgets are whole again.
    pub fn sweep(&self) {
        self.budgets.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::{advance, pause};

    use super::*;

    fn quota(rate: u32, seconds: u64, burst: u32) -> Quota {
        Quota { rate, period: Duration::from_secs(seconds), burst }
    }

    #[tokio::test]
    async fn a_budget_comes_back_with_time() {
        pause();
        let limiter = Limiter::new(quota(1, 60, 2), KEYS);
        assert_eq!((limiter.charge(1), limiter.charge(1)), (Ok(1), Ok(0)));
        let spent = limiter.charge(1).unwrap_err();
        assert_eq!(spent.wait.as_secs(), 60);
        assert_eq!(limiter.charge(2), Ok(1), "another key has its own");
        advance(Duration::from_secs(60)).await;
        assert_eq!(limiter.charge(1), Ok(0));
        assert!(limiter.charge(1).is_err());
    }

    #[tokio::test]
    async fn whole_budgets_are_swept() {
        pause();
        let limiter = Limiter::new(quota(1, 1, 1), KEYS);
        advance(Duration::from_secs(1)).await;
        for key in 0..100 {
            limiter.charge(key).unwrap();
        }
        assert_eq!(limiter.keys(), 100);
        limiter.sweep();
        assert_eq!(limiter.keys(), 100, "they are still spent");
        advance(Duration::from_secs(5)).await;
        limiter.sweep();
        assert_eq!(limiter.keys(), 0);
    }

    #[tokio::test]
    async fn a_flood_of_keys_stays_within_bounds_and_spares_the_warm() {
        pause();
        let limiter = Limiter::new(quota(1, 3600, 1), 1600);
        limiter.charge(u64::MAX).unwrap();
        for key in 0..100_000 {
            limiter.charge(key).unwrap();
            if key % 10 == 0 {
                assert!(limiter.charge(u64::MAX).is_err(), "the warm one is remembered");
            }
        }
        assert!(limiter.keys() <= 1600, "{}", limiter.keys());
    }

    proptest! {
        #[test]
        fn no_stream_of_keys_grows_it(keys in proptest::collection::vec(any::<u64>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async {
                let limiter = Limiter::new(quota(5, 1, 5), 64);
                for key in keys {
                    limiter.charge(key).ok();
                }
                assert!(limiter.keys() <= 64);
            });
        }
    }
}
