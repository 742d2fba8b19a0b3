//! Memory for a million clients.

use std::fs;

use anyhow::ensure;

use crate::{
    bench::{
        Bench, OPEN,
        cpu::memory,
        peers::{GATEWAY, HAPROXY, NGINX},
        report::Row,
        stage::{Stage, Standing, Wanted},
    },
    process::command,
    soak::get,
};

const CLIENTS: u64 = 1_000_000;
const THREADS: u64 = 2;

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
        let (threads, each) = (THREADS.to_string(), (clients / THREADS).to_string());
        wrk.args(["-t", &threads, "-c", "16", "-d", "300s", "-s"]).arg(&script);
        wrk.args([&format!("https://localhost:{}{OPEN}", standing.port), "--", &each]);
        let said = wrk.output().await?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        // It tells of answers that are neither 2xx nor 3xx only if there are any.
        ensure!(said.contains("requests in ") && !said.contains("Non-2xx"), "wrk: {said}");
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

/// What the gateway says that it remembers.
async fn kept(gateway: &Standing) -> anyhow::Result<String> {
    let metrics = get(gateway.admin, "/metrics").await?;
    let lines = metrics.lines().filter_map(|line| {
        let (kind, count) = line.strip_prefix("gateway_ledger_keys{kind=\"")?.split_once("\"} ")?;
        (count != "0").then(|| format!("{count} {kind}"))
    });
    Ok(lines.collect::<Vec<_>>().join(", "))
}
