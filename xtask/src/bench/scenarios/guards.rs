//! What each guard costs.

use anyhow::{Context, ensure};

use crate::{
    bench::{
        Bench, SMALL,
        load::Load,
        peers::{GATEWAY, PEERS},
        report::{Row, median},
        stage::{Stage, Standing, USUAL, Wanted},
    },
    client::Version,
};

const ROUNDS: usize = 15;
const REQUESTS: u64 = 4000;

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
    ensure!(stage.standing.len() == GUARDS.len() + 1, "a policy is not accepted");
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
    let cost = async |standing: &Standing| {
        let spent = standing.spent(async {
            load.good(standing.port, requests).await?;
            Ok(())
        });
        anyhow::Ok(spent.await? / requests as f64 / 1e3)
    };
    let (all, without) = stage.standing.split_first().context("a gateway")?;
    for standing in &stage.standing {
        cost(standing).await?;
    }
    let mut costs = vec![Vec::new(); GUARDS.len()];
    let mut whole = Vec::new();
    for _ in 0..bench.rounds(ROUNDS) {
        for (standing, costs) in without.iter().zip(&mut costs) {
            // What changes steadily meanwhile is in both halves.
            let with = cost(all).await?;
            let less = cost(standing).await? + cost(standing).await?;
            let with = with + cost(all).await?;
            whole.push(with / 2.0);
            let mut round = [None; PEERS];
            round[GATEWAY] = Some((with - less) / 2.0);
            costs.push(round);
        }
    }
    let whole = median(whole).unwrap_or(f64::NAN);
    let rows = GUARDS.iter().zip(costs).map(|((_, name), costs)| {
        let row = Row::new("guards", *name, "µs CPU", costs);
        let part = row.figure(GATEWAY).unwrap_or(f64::NAN) / whole * 100.0;
        row.note(format!("{part:.0} % of {whole:.1} µs"))
    });
    Ok(rows.collect())
}
