//! CPU time of a request that is refused.

use anyhow::ensure;

use crate::{
    bench::{
        Bench, CLOSED_PATH,
        load::Load,
        report::Row,
        stage::{Stage, USUAL},
    },
    client::Version,
};

const ROUNDS: usize = 5;
const REQUESTS: u64 = 8000;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    Stage::all(bench, 1, &USUAL).await?.then(async |stage| Ok(measured(bench, stage).await)).await
}

async fn measured(bench: &Bench, stage: &Stage) -> Vec<Row> {
    let processors = bench.processors.others(stage.workers);
    let count = bench.amount(REQUESTS);
    let mut rows = Vec::new();
    for version in Version::ALL {
        let load = Load {
            version,
            path: CLOSED_PATH,
            connections: 16,
            streams: 8,
            upload: None,
            processors: &processors,
        };
        let rounds = stage.rounds(bench, ROUNDS, async |standing| {
            let spent = standing.spent(async {
                let answers = load.run(standing.port, count).await?;
                ensure!(answers.refused == count, "only {} were refused", answers.refused);
                Ok(())
            });
            Ok(spent.await? / count as f64 / 1e3)
        });
        let what = format!("{}, one worker", version.name());
        rows.push(Row::new("refused", what, "µs CPU", rounds.await));
    }
    rows
}
