//! Who has signed in to the operator's page: whoever gave the token holds a random number in a cookie
//! for some hours. Only hashes of the numbers are kept, in memory, and no more than a few.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// How long somebody is signed in, whatever they do.
const LASTS: Duration = Duration::from_hours(8);

/// How many may be signed in; whoever signed in first is signed out first.
const MOST: usize = 32;

/// Everybody who has signed in.
#[derive(Clone)]
pub(crate) struct Passes(Arc<Inner>);

struct Inner {
    /// The cookie's name: two gateways at one host, on ports of their own, share a browser's cookies.
    cookie: String,
    given: Mutex<VecDeque<Pass>>,
}

struct Pass {
    hash: [u8; 32],
    until: Instant,
}

impl fmt::Debug for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passes").finish_non_exhaustive()
    }
}

impl Passes {
    /// Nobody.
    pub(crate) fn new() -> Self {
        // The name is no secret.
        let cookie = format!("operator-{:016x}", RandomState::new().hash_one(()));
        Self(Arc::new(Inner { cookie, given: Mutex::default() }))
    }

    /// Signs somebody in: the cookie for them.
    pub(crate) fn give(&self) -> Option<HeaderValue> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).ok()?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let pass = Pass { hash: Sha256::digest(&secret).into(), until: Instant::now() + LASTS };
        let mut given = self.0.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|it| it.until > Instant::now());
        given.push_back(pass);
        if given.len() > MOST {
            given.pop_front();
        }
        self.cookie(&secret, LASTS)
    }

    /// Whether the request is from somebody who has signed in.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        let Some(hash) = self.shown(headers) else { return false };
        let given = self.0.given.lock().unwrap_or_else(PoisonError::into_inner);
        // Hashes are compared: the time it takes tells nothing of what would fit.
        given.iter().any(|it| it.until > now && it.hash == hash)
    }

    /// Signs out whoever sends the request: a cookie in place of theirs.
    pub(crate) fn take_back(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if let Some(hash) = self.shown(headers) {
            let mut given = self.0.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.retain(|it| it.hash != hash);
        }
        self.cookie("", Duration::ZERO)
    }

    fn cookie(&self, value: &str, lasts: Duration) -> Option<HeaderValue> {
        let (name, seconds) = (&self.0.cookie, lasts.as_secs());
        let cookie =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
        HeaderValue::try_from(cookie).ok()
    }

    /// The hash of what the request shows.
    fn shown(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let fields = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        let mut cookies = fields.flat_map(|it| it.split(';')).map(str::trim);
        let secret = cookies.find_map(|it| it.strip_prefix(&*self.0.cookie)?.strip_prefix('='))?;
        Some(Sha256::digest(secret).into())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    fn showing(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let cookies = format!("other=1; {pair}; last=2");
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_pass_holds_for_hours_and_until_it_is_taken_back() {
        pause();
        let passes = Passes::new();
        let (one, two) = (showing(&passes.give().unwrap()), showing(&passes.give().unwrap()));
        assert!(passes.knows(&one) && passes.knows(&two) && !passes.knows(&HeaderMap::new()));
        let empty = passes.take_back(&one).unwrap();
        assert!(empty.to_str().unwrap().ends_with("Max-Age=0"));
        assert!(!passes.knows(&one) && passes.knows(&two) && !passes.knows(&showing(&empty)));
        advance(LASTS).await;
        assert!(!passes.knows(&two));
        assert!(!Passes::new().knows(&two), "of another process");
    }

    #[tokio::test]
    async fn no_more_than_a_few_are_signed_in() {
        let passes = Passes::new();
        let all: Vec<_> = (0..=MOST).map(|_| showing(&passes.give().unwrap())).collect();
        assert!(!passes.knows(&all[0]) && passes.knows(&all[1]) && passes.knows(&all[MOST]));
    }

    #[tokio::test]
    async fn no_script_and_no_other_site_gets_at_the_cookie() {
        let cookie = Passes::new().give().unwrap();
        let cookie = cookie.to_str().unwrap();
        for said in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
            assert!(cookie.contains(said), "{cookie}");
        }
    }
}
