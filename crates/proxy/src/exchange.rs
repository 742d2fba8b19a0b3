//! What is learned of one request on its way, shared by all that handle it.

use std::{
    any::Any,
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use gateway_n8n::{Attempt, Surface, redact};
use gateway_policy::{Client, Connection, Offence, Permit, Reason, Source};
use gateway_telemetry::{AccessRecord, RefusedFor, Telemetry, UpstreamFault};
use http::{HeaderValue, Method, StatusCode, Uri, Version};
use tokio::time::Instant;

use crate::{Case, Fault, Rules, failure::chain, keys::Keys, signed::Signed};

/// One request and its answer. When the last holder lets go, which is when both bodies have ended
/// or the tunnel has, the access record is written.
pub struct Exchange {
    /// The connection it came on.
    pub connection: Arc<Connection>,
    /// The rules it began with.
    pub rules: Arc<Rules>,
    /// Never looked at, only held: a tunnel counts as its client's connection.
    _held: Arc<dyn Any + Send + Sync>,
    /// The same: it counts among its client's requests.
    place: OnceLock<Box<dyn Any + Send + Sync>>,
    telemetry: Telemetry,
    id: RequestId,
    method: Method,
    uri: Uri,
    version: Version,
    html: bool,
    started: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    /// When the client last sent some of its body, in milliseconds since `started`.
    progress: AtomicU64,
    facts: Mutex<Facts>,
    /// The cookie of the client's device, where it was looked at.
    device: OnceLock<HeaderValue>,
    /// The session that is shown, where it was looked at.
    signed: OnceLock<Signed>,
    /// The API keys that are shown, where they were looked at.
    keys: OnceLock<Keys>,
    /// Why it would be refused if this were no dry run.
    spared: OnceLock<Box<RefusedFor>>,
    /// That it showed what its webhook asks for.
    proven: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    client: Option<Client>,
    surface: Option<Surface>,
    attempt: Option<Attempt>,
    account: Option<u64>,
    known: Option<u64>,
    session: bool,
    offence: Option<Offence>,
    status: Option<StatusCode>,
    n8n: Option<(StatusCode, Duration)>,
    reason: Option<&'static str>,
    /// That it was refused, and by which line of the policy.
    refused: Option<(Reason, Option<Source>)>,
    cut: Option<Reason>,
    /// What the client is asked for, if it is refused for want of it.
    challenge: Option<&'static str>,
}

impl Facts {
    /// What the client got; 0 if it left before.
    fn status(&self) -> u16 {
        self.status.map_or(0, |status| status.as_u16())
    }
}

/// What n8n answered to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'e> {
    pub(crate) method: &'e Method,
    pub(crate) path: &'e str,
    pub(crate) status: StatusCode,
}

/// What tells one request from all others; the client may quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

impl RequestId {
    fn next() -> Self {
        use std::{collections::hash_map::RandomState, hash::BuildHasher};
        static KEY: OnceLock<RandomState> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A keyed hash of a counter: unlike the counter, it tells nobody how many came before.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(KEY.get_or_init(RandomState::new).hash_one(count))
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// It in a header.
    pub(crate) fn value(self) -> HeaderValue {
        let bytes = self.0.to_be_bytes();
        let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let digit = |half| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        let text: Bytes = halves.map(digit).collect();
        HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// The same, marked as never to be seen again: HTTP/2 would put it in a table.
    pub(crate) fn unique(self) -> HeaderValue {
        let mut value = self.value();
        value.set_sensitive(true);
        value
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Exchange {
    pub(crate) fn begin<B>(
        request: &http::Request<B>,
        connection: Arc<Connection>,
        held: Arc<dyn Any + Send + Sync>,
        rules: Arc<Rules>,
        telemetry: Telemetry,
    ) -> Arc<Self> {
        let accepts = request.headers().get(http::header::ACCEPT);
        let accepts = accepts.and_then(|it| it.to_str().ok()).unwrap_or_default();
        Arc::new(Self {
            connection,
            _held: held,
            place: OnceLock::new(),
            rules,
            telemetry,
            id: RequestId::next(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            html: accepts.contains("text/html"),
            started: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            facts: Mutex::default(),
            device: OnceLock::new(),
            signed: OnceLock::new(),
            keys: OnceLock::new(),
            spared: OnceLock::new(),
            proven: AtomicBool::new(false),
        })
    }

    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request's id.
    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// Whether the client would rather read a page than JSON.
    pub(crate) fn wants_html(&self) -> bool {
        self.html
    }

    pub(crate) fn is_h2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(crate) fn identified(&self, client: Client) {
        self.facts().client = Some(client);
    }

    pub(crate) fn located(&self, surface: Option<Surface>) {
        self.facts().surface = surface;
    }

    /// Takes down what of a permit is looked at again when n8n has answered.
    pub(crate) fn permitted(&self, permit: &Permit) {
        let mut facts = self.facts();
        facts.surface = Some(permit.surface());
        facts.attempt = permit.attempt();
        facts.session = permit.could_show_session();
        facts.offence = permit.offence();
    }

    /// Takes down whose account is tried, or which key, as a keyed hash; and what vouches for whoever
    /// tries, if they have signed in to it before.
    pub(crate) fn tries(&self, account: u64, known: Option<u64>) {
        let mut facts = self.facts();
        (facts.account, facts.known) = (Some(account), known);
    }

    pub(crate) fn has_device(&self, cookie: HeaderValue) {
        drop(self.device.set(cookie));
    }

    pub(crate) fn device(&self) -> Option<&HeaderValue> {
        self.device.get()
    }

    pub(crate) fn is_signed(&self, signed: Signed) {
        drop(self.signed.set(signed));
    }

    pub(crate) fn signed(&self) -> Option<&Signed> {
        self.signed.get()
    }

    pub(crate) fn shows_keys(&self, keys: Keys) {
        drop(self.keys.set(keys));
    }

    pub(crate) fn keys(&self) -> Option<&Keys> {
        self.keys.get()
    }

    /// Takes down that it showed what its webhook asks for.
    pub(crate) fn proved(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether it showed what its webhook asks for.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Takes down what it is asked for in place of an answer.
    pub(crate) fn asks_for(&self, challenge: &'static str) {
        self.facts().challenge = Some(challenge);
    }

    /// What it is asked for in place of an answer.
    pub(crate) fn challenge(&self) -> Option<&'static str> {
        self.facts().challenge
    }

    /// What n8n answered to the call of a webhook, a form or an MCP trigger, if it did.
    pub(crate) fn call(&self) -> Option<Answered<'_>> {
        let Facts { surface, n8n, .. } = *self.facts();
        let (status, _) = n8n?;
        let called = matches!(surface?, Surface::Webhook | Surface::Form | Surface::Mcp);
        called.then_some(Answered { method: &self.method, path: self.uri.path(), status })
    }

    /// Keeps the place that its request has been given until it ends.
    pub(crate) fn has_place(&self, place: impl Any + Send + Sync) {
        drop(self.place.set(Box::new(place)));
    }

    /// What is held against the client although its request may pass.
    pub(crate) fn offence(&self) -> Option<Offence> {
        self.facts().offence
    }

    /// Holds something against the client although its request passes, unless there is something.
    pub(crate) fn suspects(&self, offence: Option<Offence>) {
        let mut facts = self.facts();
        facts.offence = facts.offence.or(offence);
    }

    /// Whether it is the call of a webhook: whoever makes one that n8n takes was asked to.
    pub(crate) fn is_webhook(&self) -> bool {
        self.method == Method::POST && self.facts().surface == Some(Surface::Webhook)
    }

    /// Whether n8n's answer shows that it took the client's session for good.
    pub(crate) fn shows_session(&self, status: StatusCode) -> bool {
        self.facts().session && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
    }

    /// What is known of the request so far, for whoever remembers its client.
    pub(crate) fn case(&self) -> Case {
        let client = self.client();
        let Facts { surface, attempt, account, known, .. } = *self.facts();
        Case { request: self.id.0, client, surface, attempt, account, known }
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        self.facts().status = Some(status);
    }

    pub(crate) fn failed(&self, reason: &'static str) {
        self.facts().reason = Some(reason);
    }

    /// Takes down why it is refused, and by which line of the policy.
    pub(crate) fn refused(&self, reason: Reason, source: Option<Source>) {
        let mut facts = self.facts();
        (facts.reason, facts.refused) = (Some(reason.name()), Some((reason, source)));
    }

    /// Takes down why it would be refused if this were no dry run; the first reason is kept.
    pub(crate) fn spared(&self, reason: Reason, rule: Option<String>) {
        let why = RefusedFor { reason: reason.name(), rule, dry_run: true };
        drop(self.spared.set(Box::new(why)));
    }

    /// Why it was refused, or would have been.
    fn refused_for(&self, facts: &Facts) -> Option<RefusedFor> {
        let Some((reason, source)) = facts.refused else {
            return self.spared.get().map(|it| RefusedFor::clone(it));
        };
        let rule = source.map(|source| source.to_string());
        Some(RefusedFor { reason: reason.name(), rule, dry_run: false })
    }

    /// Takes down and says what broke between the gateway and n8n.
    pub(crate) fn faulted(&self, fault: Fault, why: &(dyn Error + 'static)) {
        self.failed(fault.name());
        self.telemetry.say(&UpstreamFault {
            request_id: self.id.to_string(),
            fault: fault.name(),
            error: chain(why),
        });
    }

    pub(crate) fn n8n_answered(&self, status: StatusCode, after: Duration) {
        self.facts().n8n = Some((status, after));
        self.telemetry.metrics.upstream_request_duration.observe(after.as_secs_f64());
    }

    /// Notes why the client's bytes were cut off. In a body: the error that follows is the client's,
    /// not n8n's. In a head: what is asked only stands in its place.
    pub(crate) fn cut(&self, reason: Reason) {
        self.facts().cut.get_or_insert(reason);
    }

    pub(crate) fn was_cut(&self) -> Option<Reason> {
        self.facts().cut
    }

    pub(crate) fn surface(&self) -> Option<Surface> {
        self.facts().surface
    }

    /// The client; the peer before anybody asked.
    pub(crate) fn client(&self) -> Client {
        let peer = self.connection.peer.ip();
        self.facts().client.unwrap_or(Client { address: peer, key: peer })
    }

    pub(crate) fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes.try_into().unwrap_or(0), Ordering::Relaxed);
        let now = self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.progress.store(now, Ordering::Relaxed);
    }

    pub(crate) fn send(&self, bytes: usize) {
        self.sent.fetch_add(bytes.try_into().unwrap_or(0), Ordering::Relaxed);
    }

    /// When the client last did something.
    pub(crate) fn last_progress(&self) -> Instant {
        self.started + Duration::from_millis(self.progress.load(Ordering::Relaxed))
    }

    /// The method, as far as it is told: a client can make one up.
    fn method_told(&self) -> &str {
        let method = self.method.as_str();
        method.get(..16).unwrap_or(method)
    }

    /// Whom the client's certificate is for, if an authority of the policy vouches for it: what a
    /// stranger's own one says stands nowhere.
    fn vouched_subject(&self) -> Option<&str> {
        let certificate = self.connection.tls.as_ref()?.client.as_ref()?;
        (!certificate.vouched_by.is_empty()).then_some(certificate.subject.as_str())
    }

    fn record(&self, facts: Facts, duration: Duration) -> AccessRecord<'_> {
        let ms = |it: Duration| (it.as_secs_f64() * 1_000_000.0).round() / 1000.0;
        AccessRecord {
            request_id: self.id.0,
            client: self.client().address,
            surface: facts.surface.map(Surface::name),
            method: self.method_told(),
            path: redact(facts.surface, self.uri.path(), self.uri.query()),
            http: match self.version {
                Version::HTTP_2 => "2",
                Version::HTTP_11 => "1.1",
                _ => "1.0",
            },
            tls: self.connection.tls.as_ref().map(|tls| tls.version),
            client_certificate: self.vouched_subject(),
            status: facts.status(),
            n8n_status: facts.n8n.map(|(status, _)| status.as_u16()),
            reason: facts.reason,
            revision: self.rules.revision,
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            duration_ms: ms(duration),
            n8n_ms: facts.n8n.map(|(_, after)| ms(after)),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (facts, duration) = (*self.facts(), self.started.elapsed());
        let (surface, status) = (facts.surface.map(Surface::name), facts.status());
        self.telemetry.metrics.request(surface, self.method_told(), status, duration);
        self.telemetry.record(self.refused_for(&facts), || self.record(facts, duration));
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id).field("facts", &*self.facts()).finish()
    }
}
