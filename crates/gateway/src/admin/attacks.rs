//! Known attacks, for the operator.

use gateway_policy::{AttackMode, KnownAttack, Policy, Reaction};
use gateway_telemetry::Metrics;
use serde::{Deserialize, Serialize};

/// What is known, and what is done about it now.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AttacksView {
    /// The release that n8n is of, as far as it is known.
    pub(crate) n8n_release: Option<String>,
    pub(crate) attacks: Vec<AttackView>,
}

/// One attack.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AttackView {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Where to read about it.
    pub(crate) source: String,
    /// The releases that are open to it; nothing if it is no release's flaw.
    pub(crate) affected: Option<String>,
    /// Whether this n8n is open to it; nothing if nobody knows.
    pub(crate) open: Option<bool>,
    /// `auto`, `report`, `block` or `off`, and the line that says so.
    pub(crate) mode: String,
    pub(crate) rule: String,
    /// What is done about it now: `block`, `report` or `off`; `advice` if no request tells of it.
    pub(crate) now: String,
    /// How many requests have looked like it since the gateway started.
    pub(crate) hits: u64,
    /// What to do besides or instead.
    pub(crate) advice: String,
}

pub(super) fn list(policy: &Policy, metrics: &Metrics) -> AttacksView {
    let release = policy.attacks.release();
    let view = |(known, now): (&KnownAttack, Option<Reaction>)| {
        let entry = &known.entry;
        let affected = entry.affected.as_ref();
        AttackView {
            id: entry.id.to_string(),
            title: entry.title.to_string(),
            source: entry.source.to_string(),
            affected: affected.map(ToString::to_string),
            open: affected.zip(release).map(|(all, it)| all.contains(it)),
            mode: mode(known.mode).to_owned(),
            rule: known.source.to_string(),
            now: match now {
                _ if entry.shapes.is_empty() => "advice",
                Some(reaction) => reaction.name(),
                None => "off",
            }
            .to_owned(),
            hits: metrics.attacks(&entry.id),
            advice: entry.advice.to_owned(),
        }
    };
    AttacksView {
        n8n_release: release.map(|it| it.to_string()),
        attacks: policy.attacks.all().map(view).collect(),
    }
}

fn mode(mode: AttackMode) -> &'static str {
    match mode {
        AttackMode::Off => "off",
        AttackMode::Report => "report",
        AttackMode::Block => "block",
        AttackMode::Auto => "auto",
    }
}
