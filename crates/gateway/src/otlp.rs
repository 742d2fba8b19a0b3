//! Lines of the log go to an OpenTelemetry collector, on a runtime that no request runs on. While
//! the collector takes nothing it is tried again, less and less often; what has no room meanwhile
//! is dropped and counted.

mod collector;

use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;
use gateway_telemetry::{
    Batch, ExportFailed, ExportRecovered, Exports, Speaker, Telemetry, export_request,
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::collector::Collector;

/// How long a batch waits to become full.
const GATHERED: Duration = Duration::from_secs(1);

/// How long after a failure it is tried again: twice as long each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The longest that a collector is believed when it asks to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How long there is for what waits when the process ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Delivered {
    /// The collector has it, but for so many records, which it does not want.
    Taken(u64, String),
    /// It does not want it, now or later.
    Refused(String),
    /// It may want it later, and says when or does not.
    Later(String, Option<Duration>),
}

/// Who takes log records.
trait Deliver: fmt::Debug {
    /// Hands one request over.
    fn deliver(&self, body: Bytes) -> impl Future<Output = Delivered> + Send;
}

/// The task that sends the log's lines to a collector, if there is one.
#[derive(Debug)]
pub(crate) struct Exporting {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Exporting {
    pub(crate) fn begin(to: Option<(Collector, Exports)>, telemetry: &Telemetry) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some((collector, exports)) = to {
            tasks.spawn(export(exports, collector, telemetry.clone(), stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Sends what is left.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Sends what comes out of `exports` until `stop`, and then what is left, as far as there is time.
async fn export(
    mut exports: Exports,
    to: impl Deliver,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut way = Way { to, speaker: speaker(), telemetry, failures: 0, dropped: 0 };
    let mut batch = exports.batch();
    let works = async {
        while gather(&mut exports, &mut batch).await {
            way.send(&batch).await;
            batch = exports.batch();
        }
    };
    tokio::select! {
        () = works => {}
        () = stop.cancelled() => {}
    }
    part(way, exports, batch).await;
}

/// Waits for a line, and a little longer for more. `false` if there will be none any more.
async fn gather(exports: &mut Exports, batch: &mut Batch) -> bool {
    if !exports.one(batch).await {
        return false;
    }
    let end = Instant::now() + GATHERED;
    loop {
        exports.fill(batch);
        if batch.is_full() {
            return true;
        }
        // Whether there will be none any more is seen the next time.
        if !timeout_at(end, exports.one(batch)).await.unwrap_or(false) {
            return true;
        }
    }
}

/// What is left when the process ends: each batch once.
async fn part<D: Deliver>(mut way: Way<D>, mut exports: Exports, mut batch: Batch) {
    let end = Instant::now() + FAREWELL;
    loop {
        exports.fill(&mut batch);
        if batch.is_empty() {
            return;
        }
        if !timeout_at(end, way.try_once(&batch)).await.unwrap_or(false) {
            break;
        }
        batch = exports.batch();
    }
    while !batch.is_empty() {
        way.count("unsent", batch.len());
        batch = exports.batch();
        exports.fill(&mut batch);
    }
}

/// The way to a collector, and how it has been lately.
#[derive(Debug)]
struct Way<D> {
    to: D,
    speaker: Speaker,
    telemetry: Telemetry,
    failures: u32,
    /// How many records had been dropped when the collector was lost.
    dropped: u64,
}

impl<D: Deliver> Way<D> {
    /// Tries until the collector has the batch, or does not want it.
    async fn send(&mut self, batch: &Batch) {
        let body = self.body(batch);
        while let Some(pause) = self.attempt(&body, batch.len()).await {
            sleep(pause).await;
        }
    }

    /// Tries once, and tells whether the batch is done with.
    async fn try_once(&mut self, batch: &Batch) -> bool {
        let body = self.body(batch);
        self.attempt(&body, batch.len()).await.is_none()
    }

    fn body(&self, batch: &Batch) -> Bytes {
        export_request(batch.lines(), &self.speaker).into()
    }

    /// How long to wait before the next attempt; nothing if there is no need for one.
    async fn attempt(&mut self, body: &Bytes, records: usize) -> Option<Duration> {
        match self.to.deliver(body.clone()).await {
            Delivered::Taken(rejected, why) => {
                let rejected = rejected.min(u64::try_from(records).unwrap_or(u64::MAX));
                self.count("sent", records);
                if rejected > 0 {
                    self.reject(rejected, why);
                } else {
                    self.recovered();
                }
                None
            }
            Delivered::Refused(why) => {
                self.count("refused", records);
                self.failed(why);
                None
            }
            Delivered::Later(why, asked) => {
                self.failed(why);
                let doubled = PAUSES.0.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
                Some(match asked {
                    Some(asked) => asked.clamp(PAUSES.0, LONGEST_PAUSE),
                    None => doubled.min(PAUSES.1),
                })
            }
        }
    }

    /// Some of a request's records were not wanted. They stand in `sent` as well: they were.
    fn reject(&mut self, rejected: u64, why: String) {
        self.telemetry.metrics.exported("refused", rejected);
        self.failed(why);
    }

    fn failed(&mut self, error: String) {
        if self.failures == 0 {
            self.dropped = self.telemetry.metrics.export_dropped_so_far();
        }
        self.failures = self.failures.saturating_add(1);
        self.telemetry.say(&ExportFailed { error, first: self.failures == 1 });
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            let now = self.telemetry.metrics.export_dropped_so_far();
            let dropped = now.saturating_sub(self.dropped);
            self.telemetry.say(&ExportRecovered { dropped });
        }
    }

    fn count(&self, outcome: &'static str, records: usize) {
        self.telemetry.metrics.exported(outcome, u64::try_from(records).unwrap_or(u64::MAX));
    }
}

fn speaker() -> Speaker {
    // What the machine is called is worth no failure.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Speaker {
        version: env!("CARGO_PKG_VERSION"),
        host: host.trim().to_owned(),
        process: std::process::id(),
    }
}

#[cfg(test)]
mod tests;
