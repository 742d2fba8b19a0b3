//! CPU time of a request.

use crate::{
    bench::{
        Bench, MIDDLE, SMALL,
        load::Load,
        peers::{HAPROXY, NGINX},
        report::{Goal, Row},
        stage::{Stage, USUAL},
    },
    client::Version,
};

const ROUNDS: usize = 5;
const REQUESTS: u64 = 10_000;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workers in bench.workers() {
        rows.extend(
            with(bench, workers, &USUAL, "", &[("64 B", SMALL), ("16 KiB", MIDDLE)]).await?,
        );
    }
    let quiet: Vec<&str> = USUAL.into_iter().filter(|it| *it != "log").collect();
    rows.extend(with(bench, 1, &quiet, ", no access log", &[("64 B", SMALL)]).await?);
    Ok(rows)
}

async fn with(
    bench: &Bench,
    workers: usize,
    flags: &[&str],
    differently: &str,
    asked: &[(&str, &str)],
) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::all(bench, workers, flags).await?;
    stage.then(async |stage| measured(bench, stage, differently, asked).await).await
}

async fn measured(
    bench: &Bench,
    stage: &Stage,
    differently: &str,
    asked: &[(&str, &str)],
) -> anyhow::Result<Vec<Row>> {
    let workers = stage.workers;
    let processors = bench.processors.others(workers);
    let requests = bench.amount(REQUESTS);
    let mut rows = Vec::new();
    for version in Version::ALL {
        for (size, path) in asked {
            let load = Load {
                version,
                path,
                connections: 16,
                streams: 8,
                upload: None,
                processors: &processors,
            };
            // Pools are filled, code is read: the first requests are not counted.
            for standing in &stage.standing {
                // Who fails here fails below, where it is said.
                _ = load.run(standing.port, 1000).await;
            }
            let rounds = stage.rounds(bench, ROUNDS, async |standing| {
                let spent = standing.spent(async {
                    load.good(standing.port, requests).await?;
                    Ok(())
                });
                Ok(spent.await? / requests as f64 / 1e3)
            });
            let goals = match version {
                Version::One => [Goal::Of(0.75, NGINX), Goal::Of(0.9, HAPROXY)],
                Version::Two => [Goal::Of(0.6, NGINX), Goal::Of(0.9, HAPROXY)],
            };
            let many = if workers == 1 { "one worker" } else { "two workers" };
            let what = format!("{}, {size}, {many}{differently}", version.name());
            rows.push(Row::new("request", what, "µs CPU", rounds.await).goals(&goals));
        }
    }
    Ok(rows)
}
