//! Memory of connections that idle.

use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;

use crate::{
    bench::{
        Bench, SMALL,
        client::{Offer, STRANGER},
        cpu::memory,
        report::{Goal, Row},
        stage::{Stage, Standing, USUAL},
    },
    client::Version,
};

/// Each on programs that are started anew: memory is not given back.
const ROUNDS: usize = 1;
const CONNECTIONS: u64 = 3000;
/// Made and closed before, so that what is needed once is there.
const BEFORE: u64 = 50;
const REST: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for version in Version::ALL {
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds(ROUNDS) {
            let stage = Stage::all(bench, bench.workers().last().unwrap_or(1), &USUAL).await?;
            let measure = async |stage: &Stage| {
                Ok(stage.once(async |standing| each(bench, standing, version).await).await)
            };
            rounds.push(stage.then(measure).await?);
        }
        let row = Row::new("idle", format!("{}, each connection", version.name()), "KiB", rounds);
        rows.push(row.goals(&[Goal::AtMost(16.0)]));
    }
    Ok(rows)
}

async fn each(bench: &Bench, standing: &Standing, version: Version) -> anyhow::Result<f64> {
    let (client, port) = (&bench.client, standing.port);
    client.each_once(BEFORE, STRANGER, port, Offer::One, (SMALL, 200)).await?;
    sleep(Duration::from_millis(500)).await;
    let before = memory(standing.process)?;
    let count = bench.amount(CONNECTIONS);
    let mut idle = client.idle(count, STRANGER, port, version, SMALL).await?;
    sleep(REST).await;
    let after = memory(standing.process)?;
    for connection in &mut idle {
        connection.ask(SMALL).await.context("a connection is gone that should idle")?;
    }
    Ok(after.saturating_sub(before) as f64 / count as f64)
}
