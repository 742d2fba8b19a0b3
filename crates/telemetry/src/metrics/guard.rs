//! What is counted of limits, offences, bans and sign-ins.

use gateway_policy::{Jail, Reason};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{Metrics, counter, counters, gauge, gauges};
use crate::{
    AttackOutcome,
    names::{label, metric},
};

#[derive(Debug)]
pub(super) struct Guarded {
    attacks: IntCounterVec,
    n8n_info: IntGaugeVec,
    rate_limit_requests: IntCounterVec,
    requests_would_refuse: IntCounterVec,
    jail_failed: IntCounterVec,
    jail_banned_current: IntGaugeVec,
    jail_banned: IntCounterVec,
    jail_would_ban: IntCounterVec,
    sign_ins: IntCounterVec,
    state_write_failures: IntCounter,
    api_key_moves: IntCounterVec,
    ledger_keys: IntGaugeVec,
    unclaimed: IntGauge,
    webhook_requests: IntCounterVec,
    windows_open: IntGauge,
    passwords_leaked: IntCounter,
    memory_pressure: IntGauge,
}

impl Guarded {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let guarded = Self {
            attacks: counters(registry, metric::ATTACKS, &[label::ID, label::OUTCOME])?,
            n8n_info: gauges(registry, metric::N8N_INFO, &[label::VERSION])?,
            rate_limit_requests: counters(
                registry,
                metric::RATE_LIMIT_REQUESTS,
                &[label::RULE, label::OUTCOME],
            )?,
            requests_would_refuse: counters(
                registry,
                metric::REQUESTS_WOULD_REFUSE,
                &[label::SURFACE, label::REASON],
            )?,
            jail_failed: counters(registry, metric::JAIL_FAILED, &[label::JAIL])?,
            jail_banned_current: gauges(registry, metric::JAIL_BANNED_CURRENT, &[label::JAIL])?,
            jail_banned: counters(registry, metric::JAIL_BANNED, &[label::JAIL])?,
            jail_would_ban: counters(registry, metric::JAIL_WOULD_BAN, &[label::JAIL])?,
            api_key_moves: counters(registry, metric::API_KEY_MOVES, &[label::OUTCOME])?,
            sign_ins: counters(registry, metric::SIGN_INS, &[label::OUTCOME])?,
            unclaimed: gauge(registry, metric::N8N_UNCLAIMED)?,
            ledger_keys: gauges(registry, metric::LEDGER_KEYS, &[label::KIND])?,
            webhook_requests: counters(
                registry,
                metric::WEBHOOK_REQUESTS,
                &[label::WEBHOOK, label::OUTCOME],
            )?,
            windows_open: gauge(registry, metric::WINDOWS_OPEN)?,
            passwords_leaked: counter(registry, metric::PASSWORDS_LEAKED)?,
            memory_pressure: gauge(registry, metric::MEMORY_PRESSURE)?,
            state_write_failures: counter(registry, metric::STATE_WRITE_FAILURES)?,
        };
        for jail in Jail::all() {
            guarded.jail_banned.with_label_values(&[jail.name()]);
            guarded.jail_banned_current.with_label_values(&[jail.name()]);
        }
        for jail in Jail::counting() {
            guarded.jail_failed.with_label_values(&[jail.name()]);
        }
        Ok(guarded)
    }
}

impl Metrics {
    pub(crate) fn attack(&self, id: &str, outcome: &'static str) {
        self.guard.attacks.with_label_values(&[id, outcome]).inc();
    }

    /// How often requests have looked like an attack so far.
    #[must_use]
    pub fn attacks(&self, id: &str) -> u64 {
        let of = |outcome: &AttackOutcome| {
            self.guard.attacks.with_label_values(&[id, outcome.name()]).get()
        };
        AttackOutcome::ALL.iter().map(of).sum()
    }

    pub(crate) fn n8n_release(&self, release: &str) {
        self.guard.n8n_info.reset();
        self.guard.n8n_info.with_label_values(&[release]).set(1);
    }

    pub(crate) fn api_key_moved(&self, refused: bool) {
        let outcome = if refused { "refused" } else { "told" };
        self.guard.api_key_moves.with_label_values(&[outcome]).inc();
    }

    /// Counts a request that was charged to a limit: `allowed`, `refused` or `would_refuse`.
    pub fn rate_limited(&self, rule: &str, outcome: &'static str) {
        self.guard.rate_limit_requests.with_label_values(&[rule, outcome]).inc();
    }

    /// Counts a webhook's call: `accepted`, `refused` or `would_refuse`.
    pub fn webhook(&self, webhook: &str, outcome: &'static str) {
        self.guard.webhook_requests.with_label_values(&[webhook, outcome]).inc();
    }

    /// Forgets a webhook that the policy has no more.
    pub fn forget_webhook(&self, webhook: &str) {
        for outcome in ["accepted", "refused", "would_refuse"] {
            // Not there is as good as gone.
            drop(self.guard.webhook_requests.remove_label_values(&[webhook, outcome]));
        }
    }

    /// Says how many windows are open.
    pub fn windows(&self, open: usize) {
        self.guard.windows_open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Forgets the limits that the policy has no more.
    pub fn forget_rate_limit(&self, rule: &str) {
        for outcome in ["allowed", "refused", "would_refuse"] {
            // Not there is as good as gone.
            drop(self.guard.rate_limit_requests.remove_label_values(&[rule, outcome]));
        }
    }

    pub(crate) fn would_refuse(&self, surface: Option<&'static str>, reason: Reason) {
        let surface = surface.unwrap_or(label::NO_SURFACE);
        self.guard.requests_would_refuse.with_label_values(&[surface, reason.name()]).inc();
    }

    pub(crate) fn jail_failed(&self, jail: Jail) {
        self.guard.jail_failed.with_label_values(&[jail.name()]).inc();
    }

    pub(crate) fn jail_banned(&self, jail: Jail) {
        self.guard.jail_banned.with_label_values(&[jail.name()]).inc();
    }

    pub(crate) fn jail_would_ban(&self, jail: Jail) {
        self.guard.jail_would_ban.with_label_values(&[jail.name()]).inc();
    }

    pub(crate) fn sign_in(&self, outcome: &'static str) {
        self.guard.sign_ins.with_label_values(&[outcome]).inc();
    }

    /// Says how many are banned now.
    pub fn banned(&self, jails: &[(Jail, usize)]) {
        for (jail, count) in jails {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.guard.jail_banned_current.with_label_values(&[jail.name()]).set(count);
        }
    }

    /// Says how much is remembered of clients: `limits`, `offenders` or `offences`.
    pub fn ledger(&self, kind: &'static str, keys: usize) {
        let keys = i64::try_from(keys).unwrap_or(i64::MAX);
        self.guard.ledger_keys.with_label_values(&[kind]).set(keys);
    }

    /// Says whether n8n has no owner.
    pub fn unclaimed(&self, unclaimed: bool) {
        self.guard.unclaimed.set(i64::from(unclaimed));
    }

    pub(crate) fn password_leaked(&self) {
        self.guard.passwords_leaked.inc();
    }

    pub(crate) fn memory_pressure(&self, pressure: i64) {
        self.guard.memory_pressure.set(pressure);
    }

    pub(crate) fn state_write_failed(&self) {
        self.guard.state_write_failures.inc();
    }
}
