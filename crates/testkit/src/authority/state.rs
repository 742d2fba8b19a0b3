//! All that an authority knows.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use gateway_certs::Clock;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    account::{Account, Standing},
    answer::Problem,
    issue::{Hierarchy, Issued},
    jws::{encode, sha256},
    mischief::{Mischief, Nonces, Window, window},
    orders::{Authorization, Order},
    seen::Seen,
    validate::Ask,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A challenge that a client is ready for.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) authorization: usize,
    pub(super) ask: Ask,
}

/// Settings, mischief, and what clients made. An index is a name in a URL.
pub(super) struct State {
    pub(super) base: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lifetime: Duration,
    pub(super) backdate: Duration,
    pub(super) profiles: Vec<(String, Duration)>,
    pub(super) address_profile: Option<String>,
    pub(super) challenges: Vec<&'static str>,
    pub(super) external_account: Option<(String, Vec<u8>)>,
    pub(super) reuse: bool,
    pub(super) suggest: Arc<dyn Fn(i64, i64) -> Window + Send + Sync>,
    pub(super) mischief: Mischief,
    pub(super) seen: Seen,
    pub(super) hierarchy: Hierarchy,
    pub(super) accounts: Vec<Account>,
    pub(super) orders: Vec<Order>,
    pub(super) authorizations: Vec<Authorization>,
    pub(super) certificates: Vec<Issued>,
    /// What is to be looked at once the request is answered.
    pub(super) jobs: Vec<Job>,
    nonces: HashSet<String>,
    /// How often nonces were looked at.
    spent: usize,
    /// How often something was drawn.
    drawn: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("base", &self.base).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(host: &str, clock: Arc<dyn Clock>) -> Self {
        let hierarchy = Hierarchy::new(host, 1, clock.now());
        let profiles =
            [("classic", 90 * DAY), ("tlsserver", 45 * DAY), ("shortlived", 20 * DAY / 3)];
        Self {
            base: format!("https://{host}"),
            clock,
            lifetime: 90 * DAY,
            backdate: DAY / 24,
            profiles: profiles.map(|(name, lifetime)| (name.to_owned(), lifetime)).to_vec(),
            address_profile: None,
            challenges: vec!["http-01", "tls-alpn-01", "dns-01"],
            external_account: None,
            reuse: false,
            suggest: Arc::new(window::usual),
            mischief: Mischief::default(),
            seen: Seen::default(),
            hierarchy,
            accounts: Vec::new(),
            orders: Vec::new(),
            authorizations: Vec::new(),
            certificates: Vec::new(),
            jobs: Vec::new(),
            nonces: HashSet::new(),
            spent: 0,
            drawn: 0,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(super) fn url(&self, path: impl fmt::Display) -> String {
        format!("{}/{path}", self.base)
    }

    /// Bytes that look random and are the same in each run of a test.
    pub(super) fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        sha256(&format!("{} {}", self.base, self.drawn))
    }

    /// A nonce that is good once.
    pub(super) fn nonce(&mut self) -> String {
        let nonce = encode(self.draw());
        self.nonces.insert(nonce.clone());
        nonce
    }

    /// Takes a nonce back.
    pub(super) fn spend(&mut self, nonce: Option<&str>) -> Result<(), Problem> {
        self.spent += 1;
        let known = nonce.is_some_and(|nonce| self.nonces.remove(nonce));
        let refused = match &mut self.mischief.nonces {
            Nonces::Good | Nonces::Rejected(0) => false,
            Nonces::EverySecond => self.spent.is_multiple_of(2),
            Nonces::Rejected(left) => {
                *left -= 1;
                true
            }
        };
        if known && !refused {
            return Ok(());
        }
        Err(Problem::new("badNonce", "the nonce is unknown, or was used"))
    }

    pub(super) fn renew_hierarchy(&mut self) {
        let host = self.base.trim_start_matches("https://").to_owned();
        self.hierarchy = Hierarchy::new(&host, self.hierarchy.generation + 1, self.now());
    }

    pub(super) fn end_accounts(&mut self, standing: Standing) {
        self.accounts.iter_mut().for_each(|account| account.standing = standing);
    }

    pub(super) fn revoke_certificates(&mut self) {
        self.certificates.iter_mut().for_each(|certificate| certificate.revoked = true);
    }
}

/// A point in time, for rcgen.
pub(super) fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a time within ten thousand years")
}

/// A point in time, for JSON.
pub(super) fn rfc3339(seconds: i64) -> String {
    date(seconds).format(&Rfc3339).expect("a time that can be written")
}

/// A stretch of time in whole seconds.
pub(super) fn seconds(stretch: Duration) -> i64 {
    stretch.as_secs().try_into().unwrap_or(i64::MAX)
}
