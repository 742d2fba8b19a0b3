//! The limits in force and their budgets. A budget outlives a reload, unless its own line changed.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use gateway_ledger::{Edge, Edges, KEYS, Limiter};
use gateway_policy::{KNOWN_TIMES, Limit, Per, SIGNED_IN_TIMES};
use gateway_proxy::Whose;

/// How many keys a wider budget remembers: there are fewer who have it.
const WIDE_KEYS: usize = 1 << 12;

/// The budgets of one limit.
#[derive(Clone, Debug)]
struct Budgets {
    usual: Arc<Limiter>,
    /// For clients whose session n8n takes for good, and for whoever is known at an account.
    wide: Option<Arc<Limiter>>,
}

impl Budgets {
    fn of(limit: &Limit) -> Self {
        let wide = match limit.per {
            Per::Client => Some(limit.quota.times(SIGNED_IN_TIMES)),
            Per::Account | Per::All => Some(limit.quota.times(KNOWN_TIMES)),
            Per::Path | Per::Key => None,
        };
        Self {
            usual: Arc::new(Limiter::new(limit.quota, KEYS)),
            wide: wide.map(|quota| Arc::new(Limiter::new(quota, WIDE_KEYS))),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Limiter>> {
        std::iter::once(&self.usual).chain(&self.wide)
    }
}

/// The limits in force, by their names.
#[derive(Debug, Default)]
pub(super) struct Limiters {
    by_name: RwLock<HashMap<Arc<str>, Budgets>>,
    edges: Edges,
    hasher: RandomState,
}

impl Limiters {
    /// Takes over other limits; gives back the names of those that are no more.
    pub(super) fn adopt<'l>(&self, limits: impl Iterator<Item = &'l Limit>) -> Vec<Arc<str>> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *by_name);
        for limit in limits {
            let same = old.remove(&limit.name).filter(|it| it.usual.quota() == limit.quota);
            by_name.insert(Arc::clone(&limit.name), same.unwrap_or_else(|| Budgets::of(limit)));
        }
        old.into_keys().collect()
    }

    /// Charges one request to a budget.
    pub(super) fn charge(
        &self,
        limit: &Limit,
        whose: Whose<'_>,
        wide: bool,
    ) -> Result<(), Duration> {
        let key = self.key(whose);
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        // A request that began before a reload may bring a limit that is no more.
        let Some(budgets) = by_name.get(&limit.name) else { return Ok(()) };
        let limiter = budgets.wide.as_ref().filter(|_| wide).unwrap_or(&budgets.usual);
        let wider = budgets.wide.as_ref().is_some_and(|it| Arc::ptr_eq(it, limiter));
        let charged = limiter.charge(key);
        let left = charged.as_ref().ok().copied();
        self.edges.note((&limit.name, key, wider), limiter.quota(), left, || name(whose, wider));
        charged.map(drop).map_err(|spent| spent.wait)
    }

    /// Who is near the edge of which limit.
    pub(super) fn edges(&self) -> Vec<Edge> {
        self.edges.list()
    }

    fn key(&self, whose: Whose<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match whose {
            Whose::Client(client) => client.hash(&mut hasher),
            Whose::Account(account) => account.hash(&mut hasher),
            Whose::Known(account, by) => (account, by, "known").hash(&mut hasher),
            Whose::Path(path) => path.hash(&mut hasher),
            Whose::Key(key) => key.hash(&mut hasher),
            Whose::All => {}
        }
        hasher.finish()
    }

    /// Forgets the keys whose budgets are whole again.
    pub(super) fn sweep(&self) {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().flat_map(Budgets::all).for_each(|limiter| limiter.sweep());
        self.edges.sweep();
    }

    /// How many keys are remembered.
    pub(super) fn keys(&self) -> usize {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().flat_map(Budgets::all).map(|limiter| limiter.keys()).sum()
    }
}

/// The longest path that is told: a stranger may make it up.
const LONGEST_PATH: usize = 200;

/// Whose a budget is, in words; an account by its hash.
fn name(whose: Whose<'_>, wider: bool) -> String {
    match whose {
        Whose::Client(client) if wider => format!("{client}, signed in"),
        Whose::Client(client) => client.to_string(),
        Whose::Account(account) => format!("account {account:016x}"),
        Whose::Known(Some(account), _) => format!("account {account:016x}, from where it is known"),
        Whose::Known(None, by) => format!("known network or device {by:016x}"),
        Whose::Path(path) => path.chars().take(LONGEST_PATH).collect(),
        Whose::Key(key) => format!("API key {key}"),
        Whose::All => "everybody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use gateway_n8n::Surface;
    use gateway_policy::{Quota, RateLimits, Source};

    use super::*;

    fn limits(rate: u32) -> RateLimits {
        let (per, period) = (Per::Client, Duration::from_secs(3600));
        let quota = Quota { rate, period, burst: rate };
        let (name, strangers, dry_run, source) = ("x".into(), false, false, Source::Default);
        let limit = Limit { name, per, quota, strangers, dry_run, source };
        let mut limits = RateLimits::default();
        limits.set(Surface::Webhook, "", vec![limit], Source::Default);
        limits
    }

    #[tokio::test]
    async fn a_budget_outlives_a_reload_unless_its_line_changed() {
        let limiters = Limiters::default();
        let whose = Whose::Client([192, 0, 2, 1].into());
        let charge = |limits: &RateLimits| {
            limiters.charge(limits.iter().next().unwrap(), whose, false).is_ok()
        };
        limiters.adopt(limits(1).iter());
        assert!(charge(&limits(1)) && !charge(&limits(1)));
        assert!(limiters.adopt(limits(1).iter()).is_empty());
        assert!(!charge(&limits(1)), "the same line, the same budget");
        limiters.adopt(limits(2).iter());
        assert!(charge(&limits(2)), "another line, another budget");
        assert_eq!(limiters.adopt(RateLimits::default().iter()), ["x".into()]);
        assert!(charge(&limits(2)), "a limit that is no more");
    }

    #[tokio::test]
    async fn a_session_widens_the_budget() {
        let (limiters, limits) = (Limiters::default(), limits(1));
        limiters.adopt(limits.iter());
        let limit = limits.iter().next().unwrap();
        let whose = Whose::Client([192, 0, 2, 1].into());
        let passes = |wide| (0..20).filter(|_| limiters.charge(limit, whose, wide).is_ok()).count();
        assert_eq!((passes(false), passes(true)), (1, 10));
        let told: Vec<_> = limiters.edges().into_iter().map(|it| (it.whose, it.refused)).collect();
        let address = "192.0.2.1".to_owned();
        assert_eq!(told, [(address.clone(), 19), (format!("{address}, signed in"), 10)]);
    }
}
