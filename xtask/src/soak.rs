//! `cargo xtask soak`: the gateway among everybody at once, for a long time. Honest clients must
//! never fail while n8n is up, and when all are gone nothing of them may be left.

#![expect(clippy::indexing_slicing, reason = "what is not in a JSON value is null")]

mod certificates;
mod events;
mod honest;
mod rude;
mod stage;
mod verdict;
mod watch;
mod world;

use std::{rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::TcpListener,
    task::LocalSet,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use crate::{
    client::Network,
    process::{Running, command, run},
};
use certificates::Shown;
use events::Happened;
use stage::Stage;
use verdict::Seen;
use watch::Watched;
use world::World;

/// How long everything runs before it is looked at for the first time.
const WARM_UP: Duration = Duration::from_secs(60);

/// How often a certificate is replaced.
const SWAP_EACH: Duration = Duration::from_secs(60);

/// How often n8n is killed in all, and how far apart at the least.
const KILLS: u32 = 5;
const KILL_EACH: Duration = Duration::from_secs(60);

pub(crate) async fn soak(minutes: u64, seed: u64) -> anyhow::Result<()> {
    let whole = Box::pin(whole(Duration::from_secs(minutes * 60), seed));
    LocalSet::new().run_until(whole).await
}

async fn whole(length: Duration, seed: u64) -> anyhow::Result<()> {
    let mut build = command("cargo");
    build.args(["build", "--locked", "--release", "--quiet", "-p", "n8n-gateway"]);
    run("release build of the gateway", build).await?;

    let stage = Rc::new(Stage::build().await?);
    let (shown, authorities) = Shown::begin(&stage.folder)?;
    let shown = Rc::new(shown);
    let network = Arc::new(Network::new(stage.ports.https, stage.ports.http, &authorities)?);
    std::fs::write(stage.policy(), events::policy(&stage.ports, 0))?;
    let gates = TaskTracker::new();
    let gate = TcpListener::bind("127.0.0.1:0").await?;
    let gate_port = gate.local_addr()?.port();
    gates.spawn_local(stage::gate(gate, gates.clone()));

    println!("==> starting n8n and the gateway, in {}", stage.folder.display());
    let mut n8n = stage.start_n8n()?;
    stage.until_n8n_answers(&mut n8n).await?;
    let gateway = stage.start_gateway().await?;
    let cookie = stage.furnish(&network, gate_port).await?;
    stage.until_n8n_answers(&mut n8n).await?;
    let watched = Watched { process: gateway.id()?, admin: stage.ports.admin };

    println!("==> warm-up, {} s, and rest", WARM_UP.as_secs());
    let world = World::new(Arc::clone(&network), cookie.clone(), seed);
    let shared = Rc::<Happened>::default();
    begin(&world, &stage, &shown, &shared);
    sleep(WARM_UP).await;
    world.stop().await;
    let before = watched.at_rest().await?;

    println!("==> soak, {} s", length.as_secs());
    let world = World::new(network, cookie, seed);
    begin(&world, &stage, &shown, &shared);
    events::swap(&world, &shown, &shared, SWAP_EACH);
    let samples = watched.scrape(&world);
    let end = Instant::now() + length;
    let period = (length / KILLS).max(KILL_EACH);
    let n8n = events::kill(&world, &stage, n8n, period, end).await?;
    world.stop().await;

    println!("==> rest");
    let after = watched.at_rest().await;
    let metrics = watched.metrics().await?;
    let ended = stop(gateway).await?;
    n8n.kill_group().await?;
    let unexplained = watch::unexplained(&stage.folder.join("gateway.log"))?;
    let seen = Seen {
        world,
        happened: shared,
        before,
        after: after?,
        samples: samples.take(),
        metrics,
        unexplained: unexplained.into_values().collect(),
        ended,
    };
    let wrong = seen.judge();
    if wrong.is_empty() {
        println!("\nnothing failed, and nothing is left");
        return Ok(());
    }
    bail!("this is not as it has to be:\n  {}", wrong.join("\n  "))
}

/// Sets all who are there all the time to work.
fn begin(world: &Rc<World>, stage: &Rc<Stage>, shown: &Rc<Shown>, happened: &Rc<Happened>) {
    honest::begin(world, shown);
    rude::begin(world);
    events::save(world, stage, happened);
}

/// Ends the gateway as an operator does; gives what was wrong with its end.
async fn stop(gateway: Running) -> anyhow::Result<Option<String>> {
    let status = gateway.end().await.context("asked to end")?;
    Ok((!status.success()).then(|| format!("the gateway ended with {status}")))
}
