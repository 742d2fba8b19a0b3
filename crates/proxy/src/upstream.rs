//! n8n's processes: which one to ask, how to reach it, and whether it is there.

mod circuit;
mod connect;
mod exchange;
mod fetch;
mod framing;
mod health;
mod pool;
mod shelf;
mod upload;
mod wire;

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gateway_n8n::Process;
use gateway_policy::Permit;
use gateway_telemetry::{Telemetry, UpstreamDown, UpstreamUp};
use http::StatusCode;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use self::circuit::{Circuit, Trouble};
pub(crate) use self::pool::{Lease, Pool};
pub use self::{
    circuit::CircuitState,
    connect::{Connect, Tcp},
    exchange::exchange,
    fetch::fetch,
    health::probe,
};

/// Where a process of n8n listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// How many connections to one process may be open or in the making, besides tunnels. More than
/// there are requests under way (`limits.requests`), which is where it is decided who waits: this
/// holds if that is set higher than any Node can serve.
const CONNECTIONS: usize = 4096;

/// A process of n8n and what is known of its health. It outlives reloads that keep it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub backend: Backend,
    up: AtomicBool,
    known_since: Instant,
    /// When it last answered a request, in milliseconds since `known_since`.
    answered: AtomicU64,
    circuit: Mutex<Circuit>,
    /// Whether anything speaks against it: as long as nothing does, no request takes the lock.
    troubled: AtomicBool,
    opened: Notify,
    room: Arc<Semaphore>,
}

impl Upstream {
    /// A process that is taken to be there until it is found not to be.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            up: AtomicBool::new(true),
            known_since: Instant::now(),
            answered: AtomicU64::new(0),
            circuit: Mutex::new(Circuit::new()),
            troubled: AtomicBool::new(false),
            opened: Notify::new(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Whether it was there and ready when it was last tried.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Where its circuit stands.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.look().state()
    }

    /// Waits until its circuit opens: whoever probes looks at once.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Whether a request may be sent to it.
    fn admits(&self, telemetry: &Telemetry) -> bool {
        !self.troubled.load(Ordering::Relaxed)
            || self.change(telemetry, |circuit| circuit.admits(Instant::now()))
    }

    /// Notes that it answered a request.
    fn answered(&self, status: StatusCode, telemetry: &Telemetry) {
        // Who is starting, or fails, is there and not yet fit.
        if !status.is_server_error() {
            let now = self.known_since.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
            self.answered.store(now.max(1), Ordering::Relaxed);
        }
        self.closes(telemetry);
    }

    /// Closes its circuit: it is there.
    fn closes(&self, telemetry: &Telemetry) {
        if self.troubled.load(Ordering::Relaxed) {
            self.change(telemetry, Circuit::answered);
        }
    }

    /// Notes that an exchange with it came to its end.
    fn completed(&self, telemetry: &Telemetry) {
        if self.troubled.load(Ordering::Relaxed) {
            self.change(telemetry, Circuit::completed);
        }
    }

    /// Notes what speaks against it and says it, if that opens its circuit.
    fn failed(&self, trouble: Trouble, why: &dyn fmt::Display, telemetry: &Telemetry) {
        if self.opens(trouble, telemetry) {
            self.note(Some(why), telemetry, false);
            self.opened.notify_one();
        }
    }

    /// Notes what speaks against it, and tells whether that opens its circuit.
    fn opens(&self, trouble: Trouble, telemetry: &Telemetry) -> bool {
        self.change(telemetry, |circuit| circuit.failed(trouble, Instant::now()))
    }

    fn look(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, telemetry: &Telemetry, what: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut circuit = self.look();
        let before = circuit.state();
        let outcome = what(&mut circuit);
        self.troubled.store(!circuit.is_calm(), Ordering::Relaxed);
        let now = circuit.state();
        if now != before {
            let upstream = self.backend.to_string();
            telemetry.metrics.upstream_circuit(&upstream, now != CircuitState::Closed);
        }
        outcome
    }

    /// Room for one more connection, once there is.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Whether there is no room for one more connection.
    fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    /// Whether it answered somebody's request in the last ten seconds: what the gateway wants to know for
    /// itself can wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.heard_within(Duration::from_secs(10))
    }

    /// Whether it answered a request less than `span` ago.
    fn heard_within(&self, span: Duration) -> bool {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        !answered.is_zero() && self.known_since.elapsed() < answered + span
    }

    /// Notes that it is there, or why it is not, and says it if that is news or `anyway`.
    fn note(&self, fault: Option<&dyn fmt::Display>, telemetry: &Telemetry, anyway: bool) {
        let up = fault.is_none();
        if !up {
            // What it answered before tells nothing any more.
            self.answered.store(0, Ordering::Relaxed);
        }
        let news = self.up.swap(up, Ordering::Relaxed) != up;
        if !news && !anyway {
            return;
        }
        let upstream = self.backend.to_string();
        telemetry.metrics.upstream_circuit(&upstream, self.circuit() != CircuitState::Closed);
        match fault {
            None => telemetry.say(&UpstreamUp { upstream }),
            Some(why) => telemetry.say(&UpstreamDown { upstream, error: why.to_string() }),
        }
    }
}

/// All processes of n8n.
#[derive(Debug)]
pub struct Upstreams {
    main: Arc<Upstream>,
    webhooks: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

impl Upstreams {
    /// The main process, and the webhook processors of queue mode if there are any.
    #[must_use]
    pub fn new(main: Arc<Upstream>, webhooks: Vec<Arc<Upstream>>) -> Self {
        Self { main, webhooks, turn: AtomicUsize::new(0) }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        std::iter::once(&self.main).chain(&self.webhooks)
    }

    /// The main process.
    #[must_use]
    pub fn main(&self) -> &Arc<Upstream> {
        &self.main
    }

    /// Whether somebody who signs in would be answered.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.main.is_up()
    }

    /// Whom to ask, in order: those that are up first, the others after them, for what is known
    /// may be old. Never a main process for what webhook processors serve: it may not serve it.
    pub(crate) fn candidates(&self, permit: &Permit) -> impl Iterator<Item = &Arc<Upstream>> {
        let pool = match permit.process() {
            Process::Main => &[],
            Process::Webhook | Process::WebhookSticky => self.webhooks.as_slice(),
        };
        let first = match permit.process() {
            _ if pool.is_empty() => 0,
            Process::WebhookSticky => {
                // The same client comes to the same process, whatever the others do.
                let hash =
                    BuildHasherDefault::<DefaultHasher>::default().hash_one(permit.client().key);
                usize::try_from(hash % 0xffff).unwrap_or(0)
            }
            Process::Main | Process::Webhook => self.turn.fetch_add(1, Ordering::Relaxed) % 0xffff,
        };
        let main = pool.is_empty().then_some(&self.main);
        let turn = move |up| {
            (0..pool.len())
                .filter_map(move |at| pool.get((first + at) % pool.len()))
                .filter(move |upstream| upstream.is_up() == up)
        };
        main.into_iter().chain(turn(true)).chain(turn(false))
    }
}
