//! How long requests take at half load.

use std::time::Duration;

use anyhow::Context;

use crate::{
    bench::{
        Bench, SMALL,
        pace::Askers,
        peers::NGINX,
        report::{Goal, Row, quantile},
        stage::{Stage, Standing, USUAL},
    },
    client::Version,
};

const ROUNDS: usize = 5;
const CEILING: Duration = Duration::from_secs(3);
const TIME: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let workers = bench.workers().last().unwrap_or(1);
    let stage = Stage::all(bench, workers, &USUAL).await?;
    stage.then(async |stage| measured(bench, stage).await).await
}

async fn measured(bench: &Bench, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let nginx = stage.standing.iter().find(|it| it.peer == NGINX).context("no nginx")?;
    let mut rows = Vec::new();
    for version in Version::ALL {
        let connect = async |standing: &Standing| {
            Askers::connect(&bench.client, standing.port, version, SMALL).await
        };
        let half = connect(nginx).await?.most(CEILING).await? / 2.0;
        let rounds = stage.rounds(bench, ROUNDS, async |standing| {
            let mut times = connect(standing).await?.constant(half, TIME).await?;
            let median = quantile(&mut times, 0.5).context("no request")?;
            Ok((median, quantile(&mut times, 0.99).context("no request")?))
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
