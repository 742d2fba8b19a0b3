//! Rate limits: how often something may be asked, and who counts as one.

use std::{fmt, sync::Arc, time::Duration};

use gateway_n8n::Surface;

use crate::{PathRules, Source};

/// Who shares a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// A client: an IPv4 address, or an IPv6 network of `clients.ipv6_prefix`.
    Client,
    /// An account, however it is spelled and wherever it is tried from.
    Account,
    /// A path, whoever asks.
    Path,
    /// Everybody.
    All,
    /// An API key, wherever it is used from: `accounts.api_keys`.
    Key,
}

impl Per {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Client, Self::Account, Self::Path, Self::All, Self::Key];

    /// Its name in the policy, in metrics and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Account => "account",
            Self::Path => "path",
            Self::All => "all",
            Self::Key => "key",
        }
    }
}

/// How much there is of a budget, and how fast it comes back (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many requests in each `period`, at least 1.
    pub rate: u32,
    /// What the rate is counted by, above 0.
    pub period: Duration,
    /// How many at once, at least 1.
    pub burst: u32,
}

impl Quota {
    /// How long it takes until one more request may be made.
    #[must_use]
    pub fn interval(self) -> Duration {
        (self.period / self.rate.max(1)).max(Duration::from_nanos(1))
    }

    /// The same, `times` as much of it.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        let (rate, burst) = (self.rate.saturating_mul(times), self.burst.saturating_mul(times));
        Self { rate, burst, period: self.period }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, period, burst } = self;
        match period.as_secs() {
            1 => write!(f, "{rate}/s")?,
            60 => write!(f, "{rate}/min")?,
            3600 => write!(f, "{rate}/h")?,
            86_400 => write!(f, "{rate}/d")?,
            seconds => write!(f, "{rate} in {seconds} s")?,
        }
        write!(f, ", burst {burst}")
    }
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in metrics, in logs and in the `RateLimit` fields: the policy's key, and `per`.
    pub name: Arc<str>,
    /// Who shares a budget.
    pub per: Per,
    /// The budget.
    pub quota: Quota,
    /// Whether strangers share it, and whoever has signed in before has a budget of their own,
    /// [`KNOWN_TIMES`] as large.
    pub strangers: bool,
    /// Whether it only tells what it would do.
    pub dry_run: bool,
    /// What made it.
    pub source: Source,
}

/// What a client whose session n8n has just accepted may do more than others: people who work in
/// the editor share one address behind many a router.
pub const SIGNED_IN_TIMES: u32 = 10;

/// How many times a limit that strangers share each known network or device may have: not without
/// end, since a device's cookie can be stolen.
pub const KNOWN_TIMES: u32 = 10;

/// How long a device that has signed in is known again.
pub const DEVICE_LASTS: Duration = Duration::from_hours(90 * 24);

/// Which limits hold where.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// In the order of [`Surface::all`].
    surfaces: Vec<PathRules<Arc<[Limit]>>>,
}

impl Default for RateLimits {
    /// No limits.
    fn default() -> Self {
        let none = |_| PathRules::new(Arc::from([]), Source::Default);
        Self { surfaces: Surface::all().map(none).collect() }
    }
}

impl RateLimits {
    /// Says how `path` below `surface` is limited; an empty path stands for the whole surface.
    pub fn set(&mut self, surface: Surface, path: &str, limits: Vec<Limit>, source: Source) {
        if let Some(rules) = self.surfaces.get_mut(surface as usize) {
            rules.insert(path, limits.into(), source);
        }
    }

    /// The rules of one surface.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "made with a set of rules for each surface")]
    pub fn of(&self, surface: Surface) -> &PathRules<Arc<[Limit]>> {
        &self.surfaces[surface as usize]
    }

    /// Every limit.
    pub fn iter(&self) -> impl Iterator<Item = &Limit> {
        self.surfaces.iter().flat_map(PathRules::iter).flat_map(|rule| rule.value.iter())
    }
}
