//! How long requests take at half load.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::bench::{
    Bench, SMALL,
    load::{Extent, Load, Version},
    peers::NGINX,
    report::{Goal, Row, quantile},
    stage::{Stage, USUAL},
};

const ROUNDS: usize = 5;
/// So many that each sends less than once in h2load's tick of 10 ms: it would send in bursts. They
/// begin when their handshake has ended, one after the other.
const CONNECTIONS: u32 = 128;
const CEILING_SECONDS: u64 = 4;
const SECONDS: u64 = 6;
/// At the beginning connections are made, and pools are filled.
const LEFT_OUT: f64 = 1e6;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let workers = bench.workers().last().unwrap_or(1);
    let stage = Stage::all(bench, workers, &USUAL).await?;
    stage.then(async |stage| measured(bench, stage).await).await
}

async fn measured(bench: &Bench, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let processors = bench.processors.others(stage.workers);
    let log = bench.folder.join("latency.log");
    let nginx = stage.standing.iter().find(|it| it.peer == NGINX).context("no nginx")?.port;
    let mut rows = Vec::new();
    for version in Version::ALL {
        let load = Load {
            version,
            path: SMALL,
            connections: CONNECTIONS,
            streams: 8,
            upload: None,
            processors: &processors,
        };
        let most = load.run(nginx, Extent::Seconds(CEILING_SECONDS)).await?.good;
        let half = most as f64 / CEILING_SECONDS as f64 / 2.0;
        let rate = half / f64::from(CONNECTIONS);
        let rounds = stage.rounds(bench, ROUNDS, async |standing| {
            load.run(standing.port, Extent::Rate(SECONDS, rate, &log)).await?;
            quantiles(&log)
        });
        let rounds = rounds.await;
        let pick = |of: fn((f64, f64)) -> f64| {
            rounds.iter().map(|round| round.map(|it| it.map(of))).collect::<Vec<_>>()
        };
        let what = format!("{}, 64 B, {half:.0} a second", version.name());
        rows.push(Row::new("latency", format!("{what}, p50"), "µs", pick(|it| it.0)));
        let row = Row::new("latency", format!("{what}, p99"), "µs", pick(|it| it.1));
        rows.push(row.goals(&[Goal::Of(1.0, NGINX)]));
    }
    Ok(rows)
}

/// The median and the 99th percentile of what h2load wrote down: when each began (in microseconds),
/// its status, and how long it took.
fn quantiles(log: &Path) -> anyhow::Result<(f64, f64)> {
    let text = std::fs::read_to_string(log)?;
    let mut seen = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut next = || fields.next().context("a field");
        let (began, status, took) = (next()?, next()?, next()?);
        ensure!(status == "200", "a request is answered with {status}");
        seen.push((began.parse::<f64>()?, took.parse::<f64>()?));
    }
    let first = seen.iter().map(|it| it.0).min_by(f64::total_cmp).context("no request")?;
    let counted = seen.into_iter().filter(|it| it.0 >= first + LEFT_OUT);
    let mut times: Vec<f64> = counted.map(|it| it.1).collect();
    let median = quantile(&mut times, 0.5).context("no request")?;
    Ok((median, quantile(&mut times, 0.99).context("no request")?))
}
