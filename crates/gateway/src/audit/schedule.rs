//! Looking again and again while the gateway runs.

use std::{sync::Arc, time::Duration};

use gateway_certs::Clock;
use gateway_n8n::audit::{Level, Report};
use gateway_telemetry::{Audited, Telemetry};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::Look;

/// How long after a start the first look is: n8n may be starting as well.
const FIRST: Duration = Duration::from_secs(60);

/// What came of the last look. What was found in whom is told by `n8n-gateway audit` alone.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct AuditStatus {
    /// When it was, in seconds since 1970.
    pub(crate) at: i64,
    /// The checks that have found something, the worst first.
    pub(crate) found: Vec<Found>,
    /// How many checks could not be made.
    pub(crate) unknown: usize,
    /// Whether there is a finding of the policy's `audit.level` or worse.
    pub(crate) alarming: bool,
}

/// A check that has found something.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) level: String,
    pub(crate) title: String,
}

/// Looks as often as the policy says, tells what came of it, and remembers it.
pub(crate) async fn keep_auditing(
    mut looks: watch::Receiver<Option<Look>>,
    latest: watch::Sender<Option<AuditStatus>>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut due = Instant::now() + FIRST;
    loop {
        let look = looks.borrow_and_update().clone();
        let Some(look) = look else {
            latest.send_replace(None);
            tokio::select! {
                Ok(()) = looks.changed() => {}
                () = stop.cancelled() => return,
            }
            continue;
        };
        tokio::select! {
            () = sleep_until(due.min(Instant::now() + look.audit.every)) => {}
            // What it is to look at may be something else now.
            Ok(()) = looks.changed() => continue,
            () = stop.cancelled() => return,
        }
        due = Instant::now() + look.audit.every;
        let now = clock.now();
        let report = tokio::select! {
            report = look.look(now) => report,
            () = stop.cancelled() => return,
        };
        let (event, status) = told(&report, look.audit.level, now);
        telemetry.say(&event);
        latest.send_replace(Some(status));
    }
}

fn told(report: &Report, from: Level, at: i64) -> (Audited, AuditStatus) {
    let worst = report.worst();
    let alarming = worst.is_some_and(|worst| worst >= from);
    let unknown = report.unknown.len();
    let event = Audited {
        at,
        findings: Level::ALL.map(|level| (level.name(), report.count(level))).to_vec(),
        worst: worst.map(Level::name),
        found: report.findings.iter().map(|it| it.check.id).collect(),
        unknown,
        alarming,
    };
    let found = report.findings.iter().map(|it| Found {
        id: it.check.id.to_owned(),
        level: it.check.level.name().to_owned(),
        title: it.check.title.to_owned(),
    });
    (event, AuditStatus { at, found: found.collect(), unknown, alarming })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::show::tests::report;

    #[test]
    fn no_account_and_no_address_stands_in_what_is_told_by_itself() {
        let (event, status) = told(&report(), Level::Medium, 5);
        let said = serde_json::to_string(&(&event, &status)).unwrap();
        assert!(!said.contains("192.0.2.1"), "{said}");
        assert_eq!(event.found, ["answers-elsewhere", "proxy-hops"]);
        assert_eq!(event.worst, Some("high"));
        assert!(status.alarming && !told(&report(), Level::Critical, 5).1.alarming);
        assert_eq!(event.findings.iter().map(|it| it.1).sum::<usize>(), 2);
    }
}
