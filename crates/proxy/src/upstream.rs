//! n8n's processes: which one to ask, how to reach it, and whether it is there.

mod connect;
mod health;
mod pool;

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gateway_n8n::Process;
use gateway_policy::Permit;
use gateway_telemetry::{Telemetry, UpstreamDown, UpstreamUp};
use tokio::time::Instant;

pub(crate) use self::pool::{Lease, Pool};
pub use self::{
    connect::{Connect, Tcp},
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

/// A process of n8n and what is known of its health. It outlives reloads that keep it.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub backend: Backend,
    up: AtomicBool,
    known_since: Instant,
    /// When it last answered a request, in milliseconds since `known_since`.
    answered: AtomicU64,
}

impl Upstream {
    /// A process that is taken to be there until it is found not to be.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        let (up, answered) = (AtomicBool::new(true), AtomicU64::new(0));
        Self { backend, up, known_since: Instant::now(), answered }
    }

    /// Whether it was there when it was last tried.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Notes that it answered a request.
    pub(crate) fn heard(&self) {
        let now = self.known_since.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.answered.store(now.max(1), Ordering::Relaxed);
    }

    /// Whether it answered a request less than `span` ago.
    pub(crate) fn heard_within(&self, span: Duration) -> bool {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        !answered.is_zero() && self.known_since.elapsed() < answered + span
    }

    /// Notes that it is there, or why it is not, and says it if that is news or `anyway`.
    pub(crate) fn note(&self, fault: Option<&io::Error>, telemetry: &Telemetry, anyway: bool) {
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
