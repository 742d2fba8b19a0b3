//! Who has used up most of a limit lately, for somebody who looks. Budgets themselves are known by
//! hashes alone; here stand the names of the few that are near their edge, and of no others.

use std::{
    fmt,
    hash::RandomState,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gateway_policy::Quota;
use lru::LruCache;
use tokio::time::Instant;

/// How many are kept.
const MOST: usize = 512;

/// A budget is near its edge when no more than this part of it is left.
const LEFT: u32 = 5;

/// How long it is told that requests were refused.
const TOLD: Duration = Duration::from_mins(5);

/// A budget: the limit's name, a hash of whose it is, and whether it is the wider one.
type Budget = (Arc<str>, u64, bool);

/// The budgets that are near their edges.
pub struct Edges {
    rows: Mutex<LruCache<Budget, Row, RandomState>>,
}

#[derive(Clone, Debug)]
struct Row {
    whose: String,
    quota: Quota,
    /// How much was used at that time.
    used: u32,
    at: Instant,
    refused: u64,
    refused_at: Option<Instant>,
}

/// A budget of which little is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The limit, by its name.
    pub limit: Arc<str>,
    /// Whose budget it is, in words.
    pub whose: String,
    /// What the budget is.
    pub quota: Quota,
    /// How much of its burst is used now.
    pub used: u32,
    /// How many requests were refused for want of it since it was first near its edge.
    pub refused: u64,
}

impl Row {
    /// What is still used at `now`: it comes back with time.
    fn used(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.at).as_nanos();
        let back = since / self.quota.interval().as_nanos().max(1);
        self.used.saturating_sub(u32::try_from(back).unwrap_or(u32::MAX))
    }

    fn is_told(&self, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < TOLD;
        self.used(now) > 0 || self.refused_at.is_some_and(lately)
    }
}

impl Default for Edges {
    fn default() -> Self {
        Self { rows: Mutex::new(LruCache::unbounded_with_hasher(RandomState::new())) }
    }
}

impl fmt::Debug for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges").finish_non_exhaustive()
    }
}

impl Edges {
    /// Takes down that a budget has `left` after a request; nothing if the request was refused. What
    /// is far from its edge costs a comparison.
    pub fn note(
        &self,
        (limit, key, wide): (&Arc<str>, u64, bool),
        quota: Quota,
        left: Option<u32>,
        whose: impl FnOnce() -> String,
    ) {
        // With a burst of one every request would be at the edge.
        let near = left.is_none_or(|left| quota.burst > 1 && left <= quota.burst / LEFT);
        if !near {
            return;
        }
        let now = Instant::now();
        let used = quota.burst - left.unwrap_or(0).min(quota.burst);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.get_or_insert_mut((Arc::clone(limit), key, wide), || Row {
            whose: whose(),
            quota,
            used,
            at: now,
            refused: 0,
            refused_at: None,
        });
        (row.used, row.at, row.quota) = (used, now, quota);
        if left.is_none() {
            row.refused += 1;
            row.refused_at = Some(now);
        }
        if rows.len() > MOST {
            rows.pop_lru();
        }
    }

    /// Those that are near their edges, or met it lately: the fullest first, and of those the ones that
    /// were refused most.
    #[must_use]
    pub fn list(&self) -> Vec<Edge> {
        let now = Instant::now();
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let told = rows.iter().filter(|(_, row)| row.is_told(now));
        let edge = |((limit, ..), row): (&Budget, &Row)| Edge {
            limit: Arc::clone(limit),
            whose: row.whose.clone(),
            quota: row.quota,
            used: row.used(now),
            refused: row.refused,
        };
        let mut edges: Vec<Edge> = told.map(edge).collect();
        drop(rows);
        let part = |it: &Edge| u64::from(it.used) * 1000 / u64::from(it.quota.burst.max(1));
        edges.sort_by_key(|it| std::cmp::Reverse((part(it), it.refused)));
        edges
    }

    /// Forgets those whose budgets are whole again.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = rows.iter().filter(|(_, row)| !row.is_told(now));
        let whole: Vec<Budget> = whole.map(|(budget, _)| budget.clone()).collect();
        for budget in whole {
            rows.pop(&budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    const QUOTA: Quota = Quota { rate: 60, period: Duration::from_mins(1), burst: 10 };

    fn noted(edges: &Edges, key: u64, left: Option<u32>) {
        edges.note((&"webhook".into(), key, false), QUOTA, left, || format!("client {key}"));
    }

    #[tokio::test]
    async fn those_near_the_edge_are_told_and_come_back_with_time() {
        pause();
        let edges = Edges::default();
        noted(&edges, 1, Some(3));
        assert!(edges.list().is_empty(), "enough is left");
        noted(&edges, 1, Some(2));
        noted(&edges, 2, None);
        noted(&edges, 2, None);
        let told = |edges: &Edges| {
            let all = edges.list().into_iter();
            all.map(|it| (it.whose, it.used, it.refused)).collect::<Vec<_>>()
        };
        let (one, two) = ("client 1".to_owned(), "client 2".to_owned());
        assert_eq!(told(&edges), [(two.clone(), 10, 2), (one.clone(), 8, 0)]);
        advance(Duration::from_secs(4)).await;
        assert_eq!(told(&edges), [(two.clone(), 6, 2), (one, 4, 0)]);
        advance(Duration::from_secs(60)).await;
        assert_eq!(told(&edges), [(two, 0, 2)], "refusals are told for a while");
        advance(TOLD).await;
        assert!(told(&edges).is_empty());
        edges.sweep();
        assert_eq!(edges.rows.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_flood_of_keys_stays_within_bounds() {
        let edges = Edges::default();
        for key in 0..10_000 {
            noted(&edges, key, None);
        }
        assert_eq!(edges.list().len(), MOST);
    }
}
