//! CPU time of a new connection.

use crate::bench::{
    Bench, SMALL,
    client::{Offer, STRANGER},
    peers::NGINX,
    report::{Goal, Row},
    stage::{Stage, USUAL},
};

const ROUNDS: usize = 5;
const CONNECTIONS: u64 = 400;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workers in bench.workers() {
        let stage = Stage::all(bench, workers, &USUAL).await?;
        let many = if workers == 1 { "one worker" } else { "two workers" };
        let row = async |stage: &Stage| Ok(measured(bench, stage, Offer::One, many).await);
        rows.push(stage.then(row).await?.goals(&[Goal::Of(0.5, NGINX)]));
    }
    let stage = Stage::all(bench, 1, &USUAL).await?;
    let row =
        async |stage: &Stage| Ok(measured(bench, stage, Offer::Hybrid, "one worker, hybrid").await);
    rows.push(stage.then(row).await?);
    Ok(rows)
}

async fn measured(bench: &Bench, stage: &Stage, offer: Offer, what: &str) -> Row {
    let count = bench.amount(CONNECTIONS);
    let rounds = stage.rounds(bench, ROUNDS, async |standing| {
        let work = bench.client.each_once(count, STRANGER, standing.port, offer, (SMALL, 200));
        Ok(standing.spent(work).await? / count as f64 / 1e3)
    });
    Row::new("connection", format!("handshake and request, {what}"), "µs CPU", rounds.await)
}
