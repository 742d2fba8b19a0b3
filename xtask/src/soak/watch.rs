//! What the gateway and the machine tell of it: its metrics each second, its memory, its file
//! descriptors and threads, and in the end its log.

use std::{cell::RefCell, collections::BTreeMap, fs, path::Path, rc::Rc, time::Duration};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::world::World;
use crate::loopback::get;

const SECOND: Duration = Duration::from_secs(1);

/// Each how many scrapes a sample is kept.
const KEPT_EACH: u32 = 10;

/// How long the last connections may take to end: more than a connection may idle, and more than
/// slow readers may take.
const REST: Duration = Duration::from_secs(180);

/// How long it is looked at when it rests: what comes and goes by itself is not there all the time.
const LOOK: u32 = 20;

/// What was seen at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Since the beginning.
    pub(super) at: Duration,
    /// Resident memory, in KiB.
    pub(super) memory: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) tasks: u64,
    /// Connections of strangers, tunnels included.
    pub(super) clients: u64,
    /// Connections to n8n.
    pub(super) upstream: u64,
    /// Clients that offences are remembered of.
    pub(super) offenders: u64,
    pub(super) offences: u64,
    /// Lines of the metrics.
    pub(super) series: u64,
}

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) process: u32,
    pub(super) admin: u16,
}

/// Metrics, by name and labels as they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The value of one metric; 0 if it is not there.
    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |it| whole(*it))
    }

    /// Those whose name begins so, and that are not 0.
    pub(super) fn with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let all = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        all.map(|(name, value)| (name.as_str(), whole(*value))).filter(|(_, value)| *value > 0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole numbers, far below what a float can hold"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

impl Watched {
    /// What the operator reads.
    pub(super) async fn metrics(&self) -> anyhow::Result<Metrics> {
        let answer = get(self.admin, "/metrics").await?;
        let (head, text) = answer.split_once("\r\n\r\n").context("no metrics")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Ok(Metrics(
            pairs.filter_map(|(name, it)| Some((name.to_owned(), it.parse().ok()?))).collect(),
        ))
    }

    async fn sample(&self, metrics: &Metrics, began: Instant) -> anyhow::Result<Sample> {
        let own = format!("/proc/{}", self.process);
        let status = tokio::fs::read_to_string(format!("{own}/status")).await?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            let value = value.and_then(|it| it.split_whitespace().next());
            Ok(value.with_context(|| name.to_owned())?.parse()?)
        };
        let descriptors = fs::read_dir(format!("{own}/fd"))?.count().try_into()?;
        let open = |kind| metrics.get(&format!("gateway_connections_open{{kind=\"{kind}\"}}"));
        let keys = |kind| metrics.get(&format!("gateway_ledger_keys{{kind=\"{kind}\"}}"));
        Ok(Sample {
            at: began.elapsed(),
            memory: field("VmRSS:")?,
            descriptors,
            threads: field("Threads:")?,
            tasks: metrics.get("gateway_tasks_alive"),
            clients: open("https") + open("http") + open("tunnel"),
            upstream: open("upstream"),
            offenders: keys("offenders"),
            offences: keys("offences"),
            series: metrics.0.len().try_into()?,
        })
    }

    /// Waits until nobody is connected, and gives what is there when nothing happens.
    pub(super) async fn at_rest(&self) -> anyhow::Result<Sample> {
        let began = Instant::now();
        let mut rest = loop {
            let sample = self.sample(&self.metrics().await?, began).await?;
            if sample.clients == 0 {
                break sample;
            }
            if began.elapsed() > REST {
                bail!("{} connections stay open: {sample:?}", sample.clients);
            }
            sleep(SECOND).await;
        };
        for _ in 0..LOOK {
            sleep(SECOND).await;
            let next = self.sample(&self.metrics().await?, began).await?;
            rest = Sample {
                descriptors: rest.descriptors.min(next.descriptors),
                threads: rest.threads.min(next.threads),
                tasks: rest.tasks.min(next.tasks),
                upstream: rest.upstream.min(next.upstream),
                ..next
            };
        }
        Ok(rest)
    }

    /// Scrapes the metrics each second, and keeps a sample now and then.
    pub(super) fn scrape(self, world: &Rc<World>) -> Rc<RefCell<Vec<Sample>>> {
        let (samples, began) = (Rc::<RefCell<Vec<Sample>>>::default(), Instant::now());
        let (kept, mut n) = (Rc::clone(&samples), 0);
        world.always("scrape of the metrics", SECOND, async move |_| {
            let metrics = self.metrics().await?;
            if n % KEPT_EACH == 0 {
                let sample = self.sample(&metrics, began).await?;
                kept.borrow_mut().push(sample);
            }
            n += 1;
            Ok(())
        });
        samples
    }
}

/// The lines of the log that nobody can explain, each kind with its first line: errors that are
/// neither about a policy that was broken on purpose nor about n8n.
pub(super) fn unexplained(log: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for line in fs::read_to_string(log)?.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            found.entry("not JSON".to_owned()).or_insert_with(|| line.to_owned());
            continue;
        };
        let (event, text) =
            (&entry["event"], |it: &Value| it.as_str().unwrap_or_default().to_owned());
        let broken = event == "reload" && entry["outcome"] == "invalid";
        let about_n8n = text(event).starts_with("upstream_");
        if text(&entry["level"]).eq_ignore_ascii_case("error") && !broken && !about_n8n {
            found.entry(text(event)).or_insert_with(|| line.to_owned());
        }
    }
    Ok(found)
}
