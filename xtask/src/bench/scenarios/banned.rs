//! What a banned client costs.

use anyhow::ensure;

use crate::bench::{
    Bench, SMALL,
    client::{BANNED, Offer, STRANGER},
    peers::GATEWAY,
    report::{Goal, Row},
    stage::{Stage, Standing, USUAL},
};

const ROUNDS: usize = 5;
const CONNECTIONS: u64 = 400;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let flags = [&USUAL[..], &["banned"]].concat();
    let stage = Stage::all(bench, 1, &flags).await?;
    stage.then(async |stage| measured(bench, stage).await).await
}

async fn measured(bench: &Bench, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    if let Some(gateway) = stage.standing.iter().find(|it| it.peer == GATEWAY) {
        ban(gateway).await?;
    }
    let count = bench.amount(CONNECTIONS);
    let rounds = stage.rounds(bench, ROUNDS, async |standing| {
        let (client, port) = (&bench.client, standing.port);
        let served = client.each_once(count, STRANGER, port, Offer::One, (SMALL, 200));
        let served = standing.spent(served).await?;
        let banned = standing.spent(client.each_refused(count, BANNED, port, SMALL)).await?;
        Ok((banned / count as f64 / 1e3, banned / served))
    });
    let rounds = rounds.await;
    let pick = |of: fn((f64, f64)) -> f64| {
        rounds.iter().map(|round| round.map(|it| it.map(of))).collect::<Vec<_>>()
    };
    Ok(vec![
        Row::new("banned", "a connection, one worker", "µs CPU", pick(|it| it.0)),
        Row::new("banned", "as a part of one that is served", "parts", pick(|it| it.1))
            .goals(&[Goal::AtMost(0.1)])
            .alone(),
    ])
}

async fn ban(gateway: &Standing) -> anyhow::Result<()> {
    let (client, admin) = (BANNED.to_string(), format!("127.0.0.1:{}", gateway.admin));
    let arguments =
        ["bans", "add", &client, "--for", "1h", "--reason", "benchmark", "--admin", &admin];
    let output = gateway.call(&arguments).output().await?;
    ensure!(output.status.success(), "no ban: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
