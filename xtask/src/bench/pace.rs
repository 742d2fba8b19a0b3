//! Requests at a constant rate, whatever the answers: each one's time counts from when it was due.
//!
//! h2load cannot do that: it sends in bursts, each 10 ms.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, thread, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    sync::{Notify, mpsc},
    task::spawn_local,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Version;

use super::{
    client::{Client, STRANGER},
    connection::Connection,
};

/// How many connections, and how many requests at once on each over HTTP/2.
const CONNECTIONS: usize = 32;
const STREAMS: usize = 8;

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(1);

/// How many ticks may wait for whoever asks; more would mean that it is too slow by seconds.
const BEHIND: usize = 10_000;

/// How long those are waited for that are still under way in the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is due, and what was done.
#[derive(Default)]
struct Queue {
    due: RefCell<VecDeque<Instant>>,
    more: Notify,
    /// In microseconds.
    times: RefCell<Vec<f64>>,
    failed: RefCell<Option<anyhow::Error>>,
}

/// Connections that ask.
pub(super) struct Askers {
    queue: Rc<Queue>,
    asking: Vec<AbortOnDropHandle<()>>,
}

impl Askers {
    /// Makes connections.
    pub(super) async fn connect(
        client: &Client,
        port: u16,
        version: Version,
        path: &'static str,
    ) -> anyhow::Result<Self> {
        let queue = Rc::<Queue>::default();
        let mut asking = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = client.open(STRANGER, port, version).await?;
            let mut begin = |connection| {
                let work = asker(connection, Rc::clone(&queue), path);
                asking.push(AbortOnDropHandle::new(spawn_local(work)));
            };
            for _ in 1..STREAMS {
                if let Some(other) = connection.share() {
                    begin(other);
                }
            }
            begin(connection);
        }
        Ok(Self { queue, asking })
    }

    /// As many requests as can be answered in that time, one after the other on each connection: how
    /// many they are a second.
    pub(super) async fn most(&self, time: Duration) -> anyhow::Result<f64> {
        let began = Instant::now();
        while began.elapsed() < time {
            // So that there is always something due, and nobody waits for more.
            while self.queue.due.borrow().len() < self.asking.len() * 2 {
                self.due(Instant::now());
            }
            tokio::time::sleep(TICK).await;
        }
        self.queue.due.borrow_mut().clear();
        let rate = self.queue.times.borrow().len() as f64 / began.elapsed().as_secs_f64();
        self.failed()?;
        Ok(rate)
    }

    /// So many requests a second for some time, after a second that does not count: the times that
    /// they took, in microseconds.
    pub(super) async fn constant(&self, rate: f64, time: Duration) -> anyhow::Result<Vec<f64>> {
        self.paced(rate, Duration::from_secs(1)).await?;
        self.queue.times.take();
        self.paced(rate, time).await?;
        Ok(self.queue.times.take())
    }

    #[expect(clippy::disallowed_methods, reason = "a thread of its own sleeps, and no runtime's")]
    async fn paced(&self, rate: f64, time: Duration) -> anyhow::Result<()> {
        // A thread that sleeps is more punctual than a runtime's timers, whose tick is a millisecond.
        let (tick, mut ticks) = mpsc::channel(BEHIND);
        let began = Instant::now();
        let clock = thread::spawn(move || {
            let mut next = began;
            while next < began + time && tick.blocking_send(next).is_ok() {
                next += TICK;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let (mut asked, before) = (0, self.queue.times.borrow().len());
        while let Some(now) = ticks.recv().await {
            let due = now.duration_since(began).as_secs_f64() * rate;
            while f64::from(asked) < due {
                self.due(now);
                asked += 1;
            }
        }
        if clock.join().is_err() {
            bail!("no clock");
        }
        let deadline = Instant::now() + PATIENCE;
        while self.queue.times.borrow().len() - before < asked.try_into()? {
            self.failed()?;
            if Instant::now() > deadline {
                bail!("requests are not answered");
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    fn due(&self, when: Instant) {
        self.queue.due.borrow_mut().push_back(when);
        self.queue.more.notify_one();
    }

    fn failed(&self) -> anyhow::Result<()> {
        self.queue.failed.take().map_or(Ok(()), Err)
    }
}

async fn asker(mut connection: Connection, queue: Rc<Queue>, path: &'static str) {
    loop {
        let next = queue.due.borrow_mut().pop_front();
        let Some(due) = next else {
            queue.more.notified().await;
            continue;
        };
        match connection.ask(path).await.context("at a constant rate") {
            Ok(200) => queue.times.borrow_mut().push(due.elapsed().as_secs_f64() * 1e6),
            Ok(status) => {
                queue.failed.replace(Some(anyhow::anyhow!("{path} is answered with {status}")));
            }
            Err(why) => {
                queue.failed.replace(Some(why));
                return;
            }
        }
    }
}
