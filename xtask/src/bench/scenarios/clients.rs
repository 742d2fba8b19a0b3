//! Memory for a million clients.

use std::{fs, time::Duration};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{
    bench::{
        Bench, OPEN,
        cpu::memory,
        peers::{GATEWAY, HAPROXY, NGINX},
        report::Row,
        stage::{Stage, Standing, Wanted},
    },
    loopback::get,
    process::command,
};

const CLIENTS: u64 = 1_000_000;
/// More than wrk needs for all of them.
const SECONDS: &str = "300s";

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    // Without a log: a million records say nothing more.
    let flags = ["trusted", "allowlist", "limit", "bans", "hardening"];
    let wanted = [GATEWAY, NGINX, HAPROXY].map(|peer| Wanted { peer, flags: &flags });
    let workers = bench.workers().last().unwrap_or(1);
    let stage = Stage::build(bench, workers, wanted).await?;
    stage.then(async |stage| measured(bench, stage).await).await
}

async fn measured(bench: &Bench, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let script = bench.folder.join("clients.lua");
    fs::write(&script, include_str!("clients.lua"))?;
    let clients = bench.amount(CLIENTS);
    let round = stage.once(async |standing| {
        let before = memory(standing.process)?;
        let mut wrk = command("wrk");
        wrk.args(["-t", "1", "-c", "16", "-d", SECONDS, "-s"]).arg(&script);
        wrk.arg(format!("https://localhost:{}{OPEN}", standing.port));
        wrk.args(["--", &clients.to_string()]);
        let said = wrk.output().await?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        ensure!(said.contains(&format!("{clients} of {clients}")), "wrk: {said}");
        let after = memory(standing.process)?;
        Ok(after.saturating_sub(before) as f64 / 1024.0)
    });
    let round = round.await;
    let kept = match stage.standing.iter().find(|it| it.peer == GATEWAY) {
        Some(gateway) => kept(gateway).await?,
        None => String::new(),
    };
    let row = Row::new("clients", format!("{clients} clients"), "MiB", vec![round]);
    Ok(vec![row.note(format!("tables are bounded; the gateway keeps {kept}"))])
}

/// What the gateway says that it remembers: it counts each minute.
async fn kept(gateway: &Standing) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(70);
    loop {
        let metrics = get(gateway.admin, "/metrics").await?;
        let lines = metrics.lines().filter_map(|line| {
            let (kind, count) =
                line.strip_prefix("gateway_ledger_keys{kind=\"")?.split_once("\"} ")?;
            (count != "0").then(|| format!("{count} of {kind}"))
        });
        let kept = lines.collect::<Vec<_>>().join(", ");
        if !kept.is_empty() || Instant::now() > deadline {
            return Ok(if kept.is_empty() { "nothing".to_owned() } else { kept });
        }
        sleep(Duration::from_secs(1)).await;
    }
}
