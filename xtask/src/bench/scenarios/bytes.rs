//! CPU time of bytes, down and up.

use anyhow::ensure;

use crate::{
    bench::{
        Bench, LARGE, UPLOAD,
        furnish::{LARGE_SIZE, large},
        load::Load,
        peers::{GATEWAY, NGINX},
        report::{Goal, Row},
        stage::{Stage, Standing, USUAL, Wanted},
    },
    client::Version,
};

const ROUNDS: usize = 5;
const FILES: u64 = 8;
const CONNECTIONS: u32 = 4;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::all(bench, 1, &USUAL).await?;
    let both = [false, true];
    let mut rows = stage.then(async |stage| Ok(measured(bench, stage, &both, "").await)).await?;
    // Its own buffers have 4 KiB; what an answer costs it depends on them, and little else does.
    let flags = [&USUAL[..], &["wide"]].concat();
    let wanted = [GATEWAY, NGINX].map(|peer| Wanted { peer, flags: &flags });
    let stage = Stage::build(bench, 1, wanted).await?;
    let down = async |stage: &Stage| {
        Ok(measured(bench, stage, &[false], ", nginx with buffers of 64 KiB").await)
    };
    rows.extend(stage.then(down).await?);
    Ok(rows)
}

async fn measured(bench: &Bench, stage: &Stage, ways: &[bool], differently: &str) -> Vec<Row> {
    let processors = bench.processors.others(stage.workers);
    let (files, file) = (bench.amount(FILES).max(CONNECTIONS.into()), large(&bench.folder));
    let bytes = files * LARGE_SIZE as u64;
    let mut rows = Vec::new();
    for version in Version::ALL {
        for &upload in ways {
            let load = Load {
                version,
                path: if upload { UPLOAD } else { LARGE },
                connections: CONNECTIONS,
                streams: 1,
                upload: upload.then_some(&*file),
                processors: &processors,
            };
            let rounds = stage.rounds(bench, ROUNDS, async |standing: &Standing| {
                let before = stage.sink.received();
                let spent = standing.spent(async {
                    let answers = load.good(standing.port, files).await?;
                    let passed = if upload { stage.sink.received() - before } else { answers.data };
                    ensure!(passed == bytes, "{passed} bytes came, and not {bytes}");
                    Ok(())
                });
                let gib = bytes as f64 / f64::from(1 << 30);
                Ok(spent.await? / gib / 1e6)
            });
            let way = if upload { "up" } else { "down" };
            let what = format!("{}, {way}, one worker{differently}", version.name());
            let row = Row::new("bytes", what, "ms CPU/GiB", rounds.await);
            rows.push(row.goals(&[Goal::Of(0.5, NGINX)]));
        }
    }
    rows
}
