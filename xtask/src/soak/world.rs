//! What all who take part share: the way to the gateway, whether n8n is there, and what came of
//! everything that was tried.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::Ipv4Addr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::anyhow;
use fastrand::Rng;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::client::Network;

/// How long anything may take before it counts as failed: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(150);

/// The life of what does not depend on n8n.
const FOREVER: u32 = u32::MAX;

/// How many failures of a kind are told in full.
const TOLD: usize = 5;

/// What came of one kind of traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    pub(super) done: u64,
    /// What failed because n8n was down.
    pub(super) excused: u64,
    pub(super) failed: u64,
    /// The first of them.
    pub(super) failures: Vec<String>,
}

pub(super) struct World {
    pub(super) network: Arc<Network>,
    /// The session of the owner of n8n.
    pub(super) cookie: String,
    pub(super) counts: RefCell<BTreeMap<&'static str, Count>>,
    pub(super) chance: RefCell<Rng>,
    /// Whether n8n is down.
    down: Cell<bool>,
    /// How often it was killed.
    kills: Cell<u32>,
    strangers: Cell<u16>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl World {
    pub(super) fn new(network: Arc<Network>, cookie: String, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            network,
            cookie,
            counts: RefCell::default(),
            chance: RefCell::new(Rng::with_seed(seed)),
            down: Cell::new(false),
            kills: Cell::new(0),
            strangers: Cell::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Says that n8n is about to be killed.
    pub(super) fn goes_down(&self) {
        self.down.set(true);
        self.kills.set(self.kills.get().saturating_add(1));
    }

    /// Says that n8n answers again.
    pub(super) fn is_back(&self) {
        self.down.set(false);
    }

    /// How often n8n was killed so far.
    pub(super) fn kills(&self) -> u32 {
        self.kills.get()
    }

    /// Which of its lives n8n is in; nothing while it is down.
    pub(super) fn life(&self) -> Option<u32> {
        (!self.down.get()).then(|| self.kills.get())
    }

    /// Takes down how something went that began in `life`.
    pub(super) fn note(&self, kind: &'static str, life: Option<u32>, result: anyhow::Result<()>) {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(kind).or_default();
        match result {
            Ok(()) => count.done += 1,
            Err(_) if life != Some(FOREVER) && (life.is_none() || self.life() != life) => {
                count.excused += 1;
            }
            Err(why) => {
                count.failed += 1;
                if count.failures.len() < TOLD {
                    count.failures.push(format!("{why:#}"));
                }
            }
        }
    }

    /// Does `job` again and again, about `pause` apart, until everything is stopped. It may fail while
    /// n8n is down.
    pub(super) fn every(
        self: &Rc<Self>,
        kind: &'static str,
        pause: Duration,
        job: impl AsyncFnMut(&Self) -> anyhow::Result<()> + 'static,
    ) {
        self.spawn(Rc::clone(self).repeat(kind, pause, job, Self::life));
    }

    /// The same with what has nothing to do with n8n: it may never fail.
    pub(super) fn always(
        self: &Rc<Self>,
        kind: &'static str,
        pause: Duration,
        job: impl AsyncFnMut(&Self) -> anyhow::Result<()> + 'static,
    ) {
        self.spawn(Rc::clone(self).repeat(kind, pause, job, |_| Some(FOREVER)));
    }

    async fn repeat(
        self: Rc<Self>,
        kind: &'static str,
        pause: Duration,
        mut job: impl AsyncFnMut(&Self) -> anyhow::Result<()>,
        life: fn(&Self) -> Option<u32>,
    ) {
        loop {
            let life = life(&self);
            let done = timeout(PATIENCE, job(&self)).await;
            let done = done.unwrap_or_else(|_| Err(anyhow!("it does not end")));
            self.note(kind, life, done);
            let factor = self.chance.borrow_mut().f64() + 0.5;
            sleep(pause.mul_f64(factor)).await;
        }
    }

    /// Runs something until everything is stopped.
    pub(super) fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn_local(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Ends everything, wherever it stands.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A stranger's address: one of a thousand, in turn.
    pub(super) fn stranger(&self) -> Ipv4Addr {
        let number = self.strangers.get();
        self.strangers.set((number + 1) % 1000);
        let [high, low] = (number / 250 * 256 + number % 250 + 1).to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    }

    /// A number below `end`.
    pub(super) fn number(&self, end: usize) -> usize {
        self.chance.borrow_mut().usize(..end)
    }
}
