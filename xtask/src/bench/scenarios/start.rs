//! How long a start takes.

use tokio::time::Instant;

use crate::bench::{
    Bench,
    peers::{PEERS, TABLE},
    report::Row,
    stage::{Stage, Start, USUAL, Wanted},
};

const ROUNDS: usize = 5;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let workers = bench.workers().last().unwrap_or(1);
    let (stage, backend) = Stage::empty(bench, workers).await?;
    let measure = async |_: &Stage| {
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds(ROUNDS) {
            let mut round = [None; PEERS];
            for (peer, place) in round.iter_mut().enumerate() {
                match once(bench, workers, peer, backend).await {
                    Ok(milliseconds) => *place = milliseconds,
                    Err(why) => {
                        let name = TABLE.get(peer).map_or("", |it| it.name);
                        println!("!!! {name}: {why:#}");
                    }
                }
            }
            rounds.push(round);
        }
        Ok(vec![Row::new("start", "to the first answer", "ms", rounds)])
    };
    stage.then(measure).await
}

/// Starts a peer, if it is there, and ends it; how long its start took, in milliseconds.
async fn once(
    bench: &Bench,
    workers: usize,
    peer: usize,
    backend: u16,
) -> anyhow::Result<Option<f64>> {
    let wanted = Wanted { peer, flags: &USUAL };
    let start = Start::prepare(bench, workers, peer, &wanted, backend).await?;
    let Some(start) = start else { return Ok(None) };
    let began = Instant::now();
    let standing = start.serve(bench).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    standing.end().await?;
    Ok(Some(took))
}
