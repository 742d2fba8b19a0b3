//! `cargo xtask bench`: the release binary beside nginx, HAProxy and Caddy, all doing the same job on
//! loopback. It measures and tells; it asserts nothing.

mod client;
mod connection;
mod cpu;
mod furnish;
mod load;
mod machine;
mod pace;
mod peers;
mod report;
mod scenarios;
mod sink;
mod stage;
mod template;

use std::{path::PathBuf, pin::pin};

use anyhow::{Context, bail, ensure};
use tokio::{
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
    task::LocalSet,
    time::Instant,
};

use crate::{
    parts,
    process::{command, run},
};
use client::Client;
use cpu::Processors;
use peers::PEERS;
use report::Row;
use scenarios::SCENARIOS;

/// Paths behind the allowlist: 64 bytes, 16 KiB, 64 MiB, and where uploads go.
const SMALL: &str = "/rest/settings";
const MIDDLE: &str = "/rest/files/16k";
const LARGE: &str = "/rest/files/64m";
const UPLOAD: &str = "/rest/upload";
/// Open to anyone.
const OPEN: &str = "/webhook/bench";
/// Open to networks of which nobody asks.
const CLOSED_PATH: &str = "/api/v1/workflows";

/// What the user asked for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Fewer rounds of less, in a few minutes.
    #[arg(long)]
    quick: bool,
    /// Only these scenarios.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this binary instead of building one.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What all scenarios share.
struct Bench {
    folder: PathBuf,
    processors: Processors,
    client: Client,
    /// Where each peer is, if it is there.
    programs: [Option<PathBuf>; PEERS],
    quick: bool,
}

impl Bench {
    /// How many rounds, of `full` ones.
    fn rounds(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(3) } else { full }
    }

    /// How much, of `full`.
    fn amount(&self, full: u64) -> u64 {
        if self.quick { full / 4 } else { full }
    }

    /// Numbers of workers to measure with: one, and two where there are two processors.
    fn workers(&self) -> impl Iterator<Item = usize> + use<> {
        1..=self.processors.count().min(2)
    }
}

pub(crate) async fn bench(options: Options) -> anyhow::Result<()> {
    let local = LocalSet::new();
    let mut whole = pin!(local.run_until(Box::pin(whole(options))));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = &mut whole => return done,
        asked = ctrl_c() => asked?,
        _ = terminate.recv() => {}
    }
    // As long as their masters live, all of them are found.
    let started = cpu::family(std::process::id())?;
    let started = started.iter().skip(1).map(ToString::to_string);
    command("kill").args(started).status().await?;
    bail!("interrupted; all that was started is asked to end")
}

async fn whole(options: Options) -> anyhow::Result<()> {
    let began = Instant::now();
    for name in &options.only {
        let known = SCENARIOS.iter().map(|it| it.name);
        if !known.clone().any(|it| it == name) {
            bail!("no scenario `{name}`: {}", known.collect::<Vec<_>>().join(", "));
        }
    }
    parts::programs_for_bench().await?;
    allow_descriptors().await?;
    let gateway = match &options.binary {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => build().await?,
    };
    // Of its own, so that another run does not take it away.
    let folder = crate::root().join(format!("target/bench/{}", std::process::id()));
    let authority = furnish::furnish(&folder)?;
    let bench = Bench {
        folder,
        processors: Processors::find()?,
        client: Client::new(&authority)?,
        programs: [
            Some(gateway),
            Some("nginx".into()),
            there(parts::haproxy().await),
            there(parts::caddy().await),
        ],
        quick: options.quick,
    };
    let machine = machine::describe(&bench).await?;
    println!("{machine}");
    let (mut rows, mut failed) = (Vec::<Row>::new(), Vec::new());
    for scenario in &SCENARIOS {
        if !options.only.is_empty() && !options.only.iter().any(|it| it == scenario.name) {
            continue;
        }
        println!("==> {} ({} s): {}", scenario.name, began.elapsed().as_secs(), scenario.what);
        match (scenario.run)(&bench).await {
            Ok(found) => {
                print!("{}", report::rounds(&found));
                rows.extend(found);
            }
            Err(why) => {
                println!("!!! {} COULD NOT BE MEASURED: {why:#}", scenario.name);
                failed.push(scenario.name);
            }
        }
    }
    println!("\n{}", report::table(&rows));
    println!("after {} s", began.elapsed().as_secs());
    std::fs::remove_dir_all(&bench.folder)?;
    ensure!(failed.is_empty(), "nothing is written without {}", failed.join(", "));
    ensure!(!rows.is_empty(), "nothing was measured");
    if options.only.is_empty() && !options.quick {
        machine::write(&machine, &rows)?;
    }
    Ok(())
}

/// Allows this process, and so all that it starts, as many open files as it may have.
async fn allow_descriptors() -> anyhow::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|it| it.split_whitespace().nth(1)).context("open files")?;
    let mut raise = command("prlimit");
    raise.args(["--pid", &std::process::id().to_string(), &format!("--nofile={hard}:{hard}")]);
    ensure!(raise.status().await?.success(), "no more open files than by default");
    Ok(())
}

/// A peer, or a loud word about its absence.
fn there(found: anyhow::Result<PathBuf>) -> Option<PathBuf> {
    found.inspect_err(|why| println!("!!! A PEER IS NOT THERE: {why:#}")).ok()
}

async fn build() -> anyhow::Result<PathBuf> {
    let mut build = command("cargo");
    build.args(["build", "--locked", "--release", "--quiet", "-p", "n8n-gateway"]);
    run("release build of the gateway", build).await?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), Into::into);
    Ok(target.join("release/n8n-gateway"))
}
