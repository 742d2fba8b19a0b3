//! When a certificate is renewed, and when what failed is tried again: arithmetic alone, on seconds
//! since 1970.

use sha2::{Digest, Sha256};

use crate::Identity;

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Window {
    /// Nothing if it ends before it begins: RFC 9773 4.2 has a client ignore that.
    pub(crate) fn new(from: i64, until: i64) -> Option<Self> {
        (from < until).then_some(Self { from, until })
    }
}

/// Whose wish a renewal follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The CA's (ARI, RFC 9773).
    Ari,
    /// Nobody's: at two thirds of its life.
    Lifetime,
}

/// When a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) window: Window,
    /// The moment in it that is this certificate's.
    pub(crate) at: i64,
    pub(crate) source: Source,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// When to renew `identity`, of which its CA says `suggested`.
///
/// The moment is drawn by the certificate's number, so it is the same after a restart, and spread
/// over all certificates.
pub(crate) fn plan(identity: &Identity, suggested: Option<Window>) -> Plan {
    let (begins, ends) = (identity.not_before, identity.not_after);
    let life = (ends - begins).max(1);
    // Whatever a CA says, there has to be time for an outage before the end, and a certificate is
    // not replaced as soon as it is there: Let's Encrypt issues five a week for the same hosts.
    let earliest = begins + spacing(identity);
    let latest = (begins + life / 6 * 5).max(earliest);
    let (window, source) = match suggested {
        Some(window) => (window, Source::Ari),
        None => {
            let (from, until) = (begins + life / 3 * 2 - life / 20, begins + life / 3 * 2);
            (Window { from, until }, Source::Lifetime)
        }
    };
    let at = window.from + share(&identity.serial, (window.until - window.from).max(0));
    Plan { window, at: at.clamp(earliest, latest), source }
}

/// How far two certificates for the same host are apart at least, in seconds.
pub(crate) fn spacing(identity: &Identity) -> i64 {
    (DAY * 3 / 2).min((identity.not_after - identity.not_before).max(0) / 4)
}

/// How long to wait after so many failures in a row, in seconds: one minute, two, four, up to six
/// hours. A certificate that ends soon is not waited with for so long.
pub(crate) fn back_off(failures: u32, left: Option<i64>, salt: &str) -> i64 {
    let doubled = MINUTE << failures.saturating_sub(1).min(16);
    let longest = left.map_or(6 * HOUR, |left| (left / 8).clamp(15 * MINUTE, 6 * HOUR));
    let whole = doubled.min(longest);
    // Up to a tenth less: a CA that comes back does not meet everybody at once.
    whole - share(&format!("{salt}{failures}"), whole / 10 + 1)
}

/// A part of `whole` that is `name`'s own.
fn share(name: &str, whole: i64) -> i64 {
    let digest = Sha256::digest(name);
    let drawn = digest.iter().take(4).fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
    // Both are small: 32 bits, and years in seconds.
    drawn.saturating_mul(whole) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(days: i64) -> Identity {
        let mut identity = crate::local::temporary(&["n8n.test".to_owned()], 0).unwrap();
        (identity.not_before, identity.not_after) = (0, days * DAY);
        identity
    }

    #[test]
    fn two_thirds_of_a_life_are_enough() {
        for days in [6, 45, 90] {
            let plan = plan(&identity(days), None);
            assert_eq!(plan.source, Source::Lifetime);
            let share = |at: i64| at * 100 / (days * DAY);
            assert!((61..=66).contains(&share(plan.at)), "{days}: {}", share(plan.at));
        }
    }

    #[test]
    fn the_ca_is_followed_within_reason() {
        let identity = identity(90);
        let at = |from, until| plan(&identity, Window::new(from, until)).at;
        assert!((60 * DAY..61 * DAY).contains(&at(60 * DAY, 61 * DAY)));
        assert_eq!(at(-9 * DAY, -8 * DAY), DAY * 3 / 2, "at once, but not in a circle");
        assert_eq!(at(100 * DAY, 200 * DAY), 75 * DAY, "not after its end");
        assert!(Window::new(5, 5).is_none() && Window::new(6, 5).is_none());
    }

    #[test]
    fn waiting_grows_from_a_minute_to_hours() {
        let waits: Vec<i64> = (1..=12).map(|n| back_off(n, None, "n8n.test")).collect();
        assert!((54..=60).contains(&waits[0]), "{waits:?}");
        assert!(waits.windows(2).all(|two| two[1] * 10 > two[0] * 8), "{waits:?}");
        assert!(waits[11] > 5 * HOUR && waits[11] <= 6 * HOUR, "{waits:?}");
        assert!(back_off(40, Some(8 * HOUR), "n8n.test") <= HOUR, "it ends soon");
        assert!(back_off(40, Some(-5), "n8n.test") > 10 * MINUTE, "and has ended");
        assert_ne!(back_off(3, None, "a.test"), back_off(3, None, "b.test"));
    }
}
