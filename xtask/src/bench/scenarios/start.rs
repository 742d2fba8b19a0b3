//! How long a start takes.

use tokio::time::Instant;

use crate::bench::{
    Bench,
    peers::PEERS,
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
                let wanted = Wanted { peer, flags: &USUAL };
                let start = Start::prepare(bench, workers, peer, &wanted, backend).await?;
                let Some(start) = start else { continue };
                let began = Instant::now();
                let standing = start.serve(bench).await?;
                *place = Some(began.elapsed().as_secs_f64() * 1e3);
                standing.end().await?;
            }
            rounds.push(round);
        }
        Ok(vec![Row::new("start", "to the first answer", "ms", rounds)])
    };
    stage.then(measure).await
}
