//! What the operator is told about certificates, whoever issued them.

use gateway_certs::{Identity, Standing, StandingState};
use serde::{Deserialize, Serialize};

use crate::Reloader;

/// How a host's certificate stands, and what somebody should look at.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CertificateStatus {
    #[serde(flatten)]
    pub(crate) standing: Standing,
    pub(crate) warnings: Vec<String>,
}

/// Every host's, at `now` (seconds since 1970).
pub(crate) fn all(reloader: &Reloader, hosts: &[String], now: i64) -> Vec<CertificateStatus> {
    let kept = reloader.keeping().standings();
    if !kept.is_empty() {
        return kept.into_iter().map(|it| looked_after(it, now)).collect();
    }
    let identity = reloader.served().current();
    hosts.iter().map(|host| in_files(host, &identity, now)).collect()
}

const DAY: i64 = 86_400;

/// How long a renewal may be late before somebody is told, as a part of the certificate's life.
const LATE: i64 = 12;

fn looked_after(standing: Standing, now: i64) -> CertificateStatus {
    let mut warnings = Vec::new();
    match standing.state {
        StandingState::Temporary => {
            warnings.push("it stands in: no CA has issued one yet".to_owned());
        }
        StandingState::Expired => {
            warnings.push(format!("it ended {} days ago", (now - standing.not_after) / DAY));
        }
        StandingState::Valid if now < standing.not_before => {
            warnings.push("it has not begun yet: is this machine's clock right?".to_owned());
        }
        StandingState::Valid => {}
    }
    let late = (standing.not_after - standing.not_before) / LATE;
    if standing.renewal.as_ref().is_some_and(|it| now > it.at + late) {
        warnings.push("its renewal is overdue".to_owned());
    }
    if let Some(error) = &standing.last_error {
        warnings.push(error.clone());
    }
    CertificateStatus { standing, warnings }
}

fn in_files(host: &str, identity: &Identity, now: i64) -> CertificateStatus {
    let ended = identity.not_after <= now;
    CertificateStatus {
        warnings: identity.warnings(&[host.to_owned()], now),
        standing: Standing {
            host: host.to_owned(),
            state: if ended { StandingState::Expired } else { StandingState::Valid },
            issuer: identity.issuer.clone(),
            serial: identity.serial.clone(),
            not_before: identity.not_before,
            not_after: identity.not_after,
            directory: None,
            challenge: None,
            renewal: None,
            next_attempt: None,
            failures: 0,
            last_error: None,
        },
    }
}
