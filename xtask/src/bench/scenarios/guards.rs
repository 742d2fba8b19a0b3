//! What each guard costs.

use crate::bench::{
    Bench, SMALL,
    load::{Extent, Load, Version},
    peers::{GATEWAY, PEERS},
    report::{Row, median},
    stage::{Stage, USUAL, Wanted},
};

const ROUNDS: usize = 9;
const REQUESTS: u64 = 16_000;

/// Each with the flag of the template that switches it.
const GUARDS: [(&str, &str); 5] = [
    ("allowlist", "allowlist of 200 networks"),
    ("limit", "rate limit"),
    ("bans", "jails"),
    ("log", "access record"),
    ("hardening", "hardening"),
];

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let without = GUARDS
        .map(|(guard, _)| USUAL.into_iter().filter(|flag| *flag != guard).collect::<Vec<_>>());
    let all = [USUAL.to_vec()].into_iter().chain(without).collect::<Vec<_>>();
    let wanted = all.iter().map(|flags| Wanted { peer: GATEWAY, flags });
    let stage = Stage::build(bench, 1, wanted).await?;
    stage.then(async |stage| measured(bench, stage).await).await
}

async fn measured(bench: &Bench, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    anyhow::ensure!(stage.standing.len() == GUARDS.len() + 1, "a policy is not accepted");
    let processors = bench.processors.others(stage.workers);
    let load = Load {
        version: Version::One,
        path: SMALL,
        connections: 16,
        streams: 1,
        upload: None,
        processors: &processors,
    };
    let requests = bench.amount(REQUESTS);
    for standing in &stage.standing {
        load.run(standing.port, Extent::Requests(1000)).await?;
    }
    let rounds = stage.in_turn(bench, ROUNDS, async |standing| {
        let spent = standing.spent(async {
            load.good(standing.port, requests).await?;
            Ok(())
        });
        Ok(spent.await? / requests as f64 / 1e3)
    });
    let rounds = rounds.await;
    let with = rounds.iter().filter_map(|round| round.first().copied().flatten());
    let whole = median(with.collect()).unwrap_or(f64::NAN);
    let rows = GUARDS.iter().enumerate().map(|(place, (_, name))| {
        let costs = rounds.iter().map(|round| {
            let mut costs = [None; PEERS];
            if let (Some(Some(with)), Some(Some(without))) = (round.first(), round.get(place + 1)) {
                costs[GATEWAY] = Some(with - without);
            }
            costs
        });
        let row = Row::new("guards", *name, "µs CPU", costs.collect());
        let part = row.figure(GATEWAY).unwrap_or(f64::NAN) / whole * 100.0;
        row.note(format!("{part:.0} % of {whole:.1} µs"))
    });
    Ok(rows.collect())
}
