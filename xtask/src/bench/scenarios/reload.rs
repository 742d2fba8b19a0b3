//! How long a new list of networks takes to be in force, and whom that disturbs.

use std::{
    cell::{Cell, RefCell},
    fs,
    rc::Rc,
    time::Duration,
};

use anyhow::bail;
use tokio::{
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    bench::{
        Bench, OPEN, SMALL,
        client::{Client, STRANGER},
        connection::Connection,
        furnish::{many, write_list},
        report::{Goal, Row},
        stage::{Stage, Standing, USUAL},
    },
    client::Version,
};

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the new list is in force.
const LOOK: Duration = Duration::from_millis(2);
/// Others, and how often each of them asks.
const OTHERS: usize = 4;
const EACH: Duration = Duration::from_millis(10);
/// How long they ask before and after.
const AROUND: Duration = Duration::from_millis(500);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let flags = [&USUAL[..], &["big"]].concat();
    let stage = Stage::all(bench, bench.workers().last().unwrap_or(1), &flags).await?;
    stage.then(async |stage| Ok(measured(bench, stage).await)).await
}

async fn measured(bench: &Bench, stage: &Stage) -> Vec<Row> {
    let rounds = stage.rounds(bench, ROUNDS, async |standing| each(bench, standing).await).await;
    let pick = |of: fn((f64, f64)) -> f64| {
        rounds.iter().map(|round| round.map(|it| it.map(of))).collect::<Vec<_>>()
    };
    vec![
        Row::new("reload", "100,000 networks in force", "ms", pick(|it| it.0))
            .goals(&[Goal::AtMost(100.0)]),
        Row::new("reload", "slowest request meanwhile", "ms", pick(|it| it.1))
            .goals(&[Goal::AtMost(50.0)]),
    ]
}

async fn each(bench: &Bench, standing: &Standing) -> anyhow::Result<(f64, f64)> {
    let (big, next) = (standing.folder.join("big"), standing.folder.join("next"));
    let replace = || -> anyhow::Result<()> {
        for ending in ["txt", "geo", "caddy"] {
            fs::rename(next.with_extension(ending), big.with_extension(ending))?;
        }
        Ok(())
    };
    // Writing takes its time, and is not what is measured.
    write_list(&next, &many(true))?;
    let mut probe = Probe::new(bench, standing.port);
    until(&mut probe, false).await?;
    let others = Others::begin(bench, standing.port);
    sleep(AROUND).await;
    others.slowest.set(Duration::ZERO);
    let began = Instant::now();
    replace()?;
    let (reloaded, in_force) = tokio::join!(standing.reload(), until(&mut probe, true));
    reloaded?;
    let took = in_force?.duration_since(began);
    sleep(AROUND).await;
    let slowest = others.slowest.get();
    if let Some(why) = others.failed.take() {
        bail!("while it reloads: {why:#}");
    }
    drop(others);
    write_list(&next, &many(false))?;
    replace()?;
    standing.reload().await?;
    until(&mut probe, false).await?;
    Ok((took.as_secs_f64() * 1e3, slowest.as_secs_f64() * 1e3))
}

/// Asks until the answer is that the list lets this machine in, or not.
async fn until(probe: &mut Probe, served: bool) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // An old connection may be closed on reload.
        if probe.ask(SMALL).await.is_ok_and(|status| (status == 200) == served) {
            return Ok(Instant::now());
        }
        sleep(LOOK).await;
    }
    bail!("the new list is not in force after {} s", PATIENCE.as_secs())
}

/// Asks on a connection that is kept as long as it lasts.
struct Probe {
    client: Client,
    port: u16,
    kept: Option<Connection>,
}

impl Probe {
    fn new(bench: &Bench, port: u16) -> Self {
        Self { client: bench.client.clone(), port, kept: None }
    }

    async fn ask(&mut self, path: &str) -> anyhow::Result<u16> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.client.open(STRANGER, self.port, Version::One).await?,
        };
        let status = connection.ask(path).await?;
        self.kept = Some(connection);
        Ok(status)
    }
}

/// Others who ask all the time.
struct Others {
    slowest: Rc<Cell<Duration>>,
    /// What went wrong for them first.
    failed: Rc<RefCell<Option<anyhow::Error>>>,
    _asking: Vec<AbortOnDropHandle<()>>,
}

impl Others {
    fn begin(bench: &Bench, port: u16) -> Self {
        let slowest = Rc::<Cell<Duration>>::default();
        let failed = Rc::<RefCell<Option<anyhow::Error>>>::default();
        let asking = (0..OTHERS).map(|_| {
            let probe = Probe::new(bench, port);
            let work = always(probe, Rc::clone(&slowest), Rc::clone(&failed));
            AbortOnDropHandle::new(spawn_local(work))
        });
        Self { _asking: asking.collect(), slowest, failed }
    }
}

async fn always(
    mut probe: Probe,
    slowest: Rc<Cell<Duration>>,
    failed: Rc<RefCell<Option<anyhow::Error>>>,
) {
    let mut ticks = interval(EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let mut asked = probe.ask(OPEN).await;
        if asked.is_err() {
            // As a browser does where an old connection is closed: once more, on a new one.
            asked = probe.ask(OPEN).await;
        }
        slowest.set(slowest.get().max(began.elapsed()));
        match asked {
            Ok(200) => {}
            Ok(status) => _ = failed.replace(Some(anyhow::anyhow!("answered with {status}"))),
            Err(why) => _ = failed.replace(Some(why)),
        }
    }
}
