//! A certificate authority in memory, which misbehaves as it is told.
//!
//! It speaks the server's side of RFC 8555, of renewal information (RFC 9773) and of ACME's
//! profiles as `instant-acme` asks for it, without a socket: a client is given
//! [`FakeAuthority::transport`]. It is strict where a real authority is: signatures, nonces and the
//! `url` of each request are verified, and a certificate is made from the order, not from the
//! request for signing. It waits in tokio's time only, and dates by the clock it is given.

#![expect(clippy::indexing_slicing, reason = "what a JSON object does not have is null")]

mod account;
mod answer;
mod issue;
mod jws;
mod mischief;
mod orders;
mod renewal;
mod route;
mod seen;
mod state;
#[cfg(test)]
mod tests;
mod validate;

use std::{
    fmt,
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use gateway_certs::Clock;
use http::Request;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls_pki_types::CertificateDer;
use tokio_util::task::TaskTracker;

pub use self::{
    mischief::{Endpoint, Mischief, Nonces, Trouble, Window, Wrong, window},
    seen::{Seen, SeenCertificate, SeenOrder, SeenValidation, most_within},
    validate::{Ask, Validate, Verdict},
};
use self::{
    state::{Job, State},
    validate::AcceptAll,
};

/// An authority at `https://<host>/directory`. A clone is the same authority.
#[derive(Clone)]
pub struct FakeAuthority {
    shared: Arc<Shared>,
}

struct Shared {
    host: String,
    directory: String,
    tasks: TaskTracker,
    validator: Mutex<Arc<dyn Validate>>,
    state: Mutex<State>,
}

impl fmt::Debug for FakeAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAuthority").field("host", &self.shared.host).finish_non_exhaustive()
    }
}

impl FakeAuthority {
    /// An authority at `ca.test`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::named("ca.test", clock)
    }

    /// An authority at `host`.
    #[must_use]
    pub fn named(host: &str, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            host: host.to_owned(),
            directory: format!("https://{host}/directory"),
            tasks: TaskTracker::new(),
            validator: Mutex::new(Arc::new(AcceptAll)),
            state: Mutex::new(State::new(host, clock)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.shared.directory
    }

    /// The way to it. Any other host is not found.
    #[must_use]
    pub fn transport(&self) -> Box<dyn HttpClient> {
        Self::network(std::slice::from_ref(self))
    }

    /// The way to several authorities, told apart by their hosts.
    #[must_use]
    pub fn network(authorities: &[Self]) -> Box<dyn HttpClient> {
        Box::new(Network { authorities: authorities.to_vec() })
    }

    /// The root that clients are to trust.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.state().hierarchy.root.clone()
    }

    /// Signs with another intermediate under another root from now on.
    pub fn new_root(&self) {
        self.state().renew_hierarchy();
    }

    /// How long certificates without a profile last: 90 days unless told.
    pub fn lifetime(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// How long before its making a certificate begins: an hour unless told.
    pub fn backdate(&self, by: Duration) {
        self.state().backdate = by;
    }

    /// The profiles on offer and how long their certificates last: `classic`, `tlsserver` and
    /// `shortlived` as Let's Encrypt has them unless told.
    pub fn profiles(&self, profiles: &[(&str, Duration)]) {
        let owned = profiles.iter().map(|(name, lifetime)| ((*name).to_owned(), *lifetime));
        self.state().profiles = owned.collect();
    }

    /// Grants addresses under this profile alone, as Let's Encrypt does under `shortlived`.
    pub fn addresses_under(&self, profile: &str) {
        self.state().address_profile = Some(profile.to_owned());
    }

    /// The challenges on offer: `http-01`, `tls-alpn-01` and `dns-01` unless told.
    pub fn challenges(&self, kinds: &[&'static str]) {
        self.state().challenges = kinds.to_vec();
    }

    /// Makes accounts only for who holds `key` under the name `kid`, as ZeroSSL does.
    pub fn external_account(&self, kid: &str, key: &[u8]) {
        self.state().external_account = Some((kid.to_owned(), key.to_vec()));
    }

    /// Takes an authorization that was won for later orders of the same account too.
    pub fn reuse_authorizations(&self, reuse: bool) {
        self.state().reuse = reuse;
    }

    /// Who looks at challenges from now on. At first every challenge is won.
    pub fn validator(&self, validator: Arc<dyn Validate>) {
        *self.shared.validator.lock().unwrap_or_else(PoisonError::into_inner) = validator;
    }

    /// The window of renewal that is suggested for a certificate, from its two dates.
    pub fn suggest(&self, window: impl Fn(i64, i64) -> Window + Send + Sync + 'static) {
        self.state().suggest = Arc::new(window);
    }

    /// Changes how it misbehaves, from the next request on.
    pub fn misbehave(&self, change: impl FnOnce(&mut Mischief)) {
        change(&mut self.state().mischief);
    }

    /// Ends all mischief.
    pub fn behave(&self) {
        self.state().mischief = Mischief::default();
    }

    /// Forgets every account: their next request is answered with `accountDoesNotExist`.
    pub fn forget_accounts(&self) {
        self.state().end_accounts(account::Standing::Forgotten);
    }

    /// Deactivates every account: their next request is answered with 403.
    pub fn revoke_accounts(&self) {
        self.state().end_accounts(account::Standing::Deactivated);
    }

    /// Revokes every certificate, as an authority does after a mistake of its own.
    pub fn revoke_certificates(&self) {
        self.state().revoke_certificates();
    }

    /// What it saw so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.state().seen.clone()
    }

    /// How many requests there were so far, those in vain too.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state().seen.requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Bytes>) -> Result<BytesResponse, Error> {
        let (endpoint, trouble) = {
            let mut state = self.state();
            state.seen.requests += 1;
            let endpoint = Endpoint::of(request.uri().path());
            (endpoint, state.mischief.trouble_at(endpoint))
        };
        match trouble {
            Some(Trouble::Down) => return Err(broken(io::ErrorKind::ConnectionRefused)),
            Some(Trouble::Hangs) => pending().await,
            Some(Trouble::Garbage) => return Ok(answer::garbage().into()),
            Some(Trouble::Status(status)) => return Ok(answer::page(status).into()),
            Some(Trouble::Lost) | None => {}
        }
        let (answer, jobs) = {
            let mut state = self.state();
            let answer = state.handle(endpoint, &request);
            (answer, std::mem::take(&mut state.jobs))
        };
        for job in jobs {
            self.shared.tasks.spawn(self.clone().validate(job));
        }
        match trouble {
            Some(Trouble::Lost) => Err(broken(io::ErrorKind::ConnectionReset)),
            _ => Ok(answer.into()),
        }
    }

    async fn validate(self, job: Job) {
        let (failure, looks_for) = {
            let mischief = &self.state().mischief;
            (mischief.fails_authorizations, mischief.looks_for)
        };
        tokio::time::sleep(looks_for.unwrap_or_default()).await;
        let validator =
            self.shared.validator.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let verdict = match failure {
            Some((kind, detail)) => Err((kind, detail.to_owned())),
            None => validator.validate(job.ask.clone()).await,
        };
        self.state().judge(&job, verdict);
    }
}

struct Network {
    authorities: Vec<FakeAuthority>,
}

impl HttpClient for Network {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let host = request.uri().host().unwrap_or_default();
        let found = self.authorities.iter().find(|it| it.shared.host == host).cloned();
        Box::pin(async move {
            let Some(authority) = found else { return Err(broken(io::ErrorKind::NotFound)) };
            let (parts, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
            authority.answer(Request::from_parts(parts, bytes.into())).await
        })
    }
}

fn broken(kind: io::ErrorKind) -> Error {
    Error::Other(Box::new(io::Error::from(kind)))
}
