//! `cargo xtask instructions`: how many instructions the gateway executes for a request, a
//! connection and a refusal. They are counted, not timed, so that a busy machine changes nothing.

mod counted;
mod table;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use tokio::io::AsyncReadExt;

use crate::{
    client::{Client, Network, Question, Version},
    parts,
    process::{command, run},
};
use counted::Counted;
use table::Table;

/// Whom the policy lets into the editor, whom it does not, and who is banned.
const TEAM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 16);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 32);
const BANNED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 48);

/// What the editor asks for, so that every guard has something to say.
const PATH: &str = "/rest/settings";

/// What a browser sends with it.
const BROWSER: [(&str, &str); 9] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    ),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-US,en;q=0.9"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "n8n-auth=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    ("browser-id", "7f1c5a52-40c5-4b4b-9b0e-5d6c7b1f0a11"),
];

/// One thing that is done again and again.
struct Unit {
    name: &'static str,
    /// How often it is done before anything is counted, and how often while it is.
    warm_up: usize,
    times: usize,
    does: Does,
}

/// What is done. One client does one thing after the other, so that nothing depends on who is first.
#[derive(Clone, Copy)]
enum Does {
    /// Ask on a connection that is kept, and be answered so.
    Request(Version, Ipv4Addr, u16),
    /// Connect with a whole handshake, and ask once.
    Connection(Version, Ipv4Addr),
    /// Connect, and be turned away before a handshake.
    TurnedAway,
}

const UNITS: [Unit; 6] = [
    unit("http1-request", 1000, Does::Request(Version::One, TEAM, 200)),
    unit("http2-request", 1000, Does::Request(Version::Two, TEAM, 200)),
    unit("http1-refused", 1000, Does::Request(Version::One, STRANGER, 404)),
    unit("http1-connection", 100, Does::Connection(Version::One, TEAM)),
    unit("http2-connection", 100, Does::Connection(Version::Two, TEAM)),
    unit("banned-connection", 1000, Does::TurnedAway),
];

const fn unit(name: &'static str, times: usize, does: Does) -> Unit {
    Unit { name, warm_up: times / 10, times, does }
}

pub(crate) async fn instructions(binary: Option<PathBuf>, bless: bool) -> anyhow::Result<()> {
    parts::valgrind().await?;
    let binary = match binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => {
            let mut build = command("cargo");
            build.args(["build", "--locked", "--release", "--quiet", "-p", "n8n-gateway"]);
            run("release build of the gateway", build).await?;
            crate::release_binary()
        }
    };
    if !bless {
        return check(&binary).await;
    }
    let counted = count(&binary).await?;
    fs::write(file(), counted.to_string())?;
    println!("{}", counted.beside(&Table::default()));
    Ok(())
}

/// Fails if something takes more instructions than the table says.
pub(crate) async fn check(binary: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file()).with_context(|| file().display().to_string())?;
    let table: Table = text.parse()?;
    let counted = count(binary).await?;
    println!("{}", counted.beside(&table));
    if !cfg!(target_arch = "x86_64") {
        println!("    NOT COMPARED: the table is for x86_64");
        return Ok(());
    }
    let worse = counted.worse_than(&table);
    ensure!(worse.is_empty(), "more instructions than before: {}", worse.join(", "));
    Ok(())
}

fn file() -> PathBuf {
    crate::root().join("benches/instructions.txt")
}

async fn count(binary: &Path) -> anyhow::Result<Table> {
    println!("==> instructions of {}", binary.display());
    let (mut gateway, network) = Counted::start(binary).await?;
    let network = Arc::new(network.without_resumption());
    gateway.ban(binary, BANNED).await?;
    let mut table = Table::default();
    for unit in UNITS {
        let client = unit.client(&network);
        repeat(&unit, &client, unit.warm_up).await?;
        gateway.dump("warm-up").await?;
        repeat(&unit, &client, unit.times).await?;
        let all = gateway.dump(unit.name).await?;
        table.add(unit.name, all / u64::try_from(unit.times)?);
    }
    gateway.end().await?;
    Ok(table)
}

impl Unit {
    fn client(&self, network: &Arc<Network>) -> Client {
        match self.does {
            Does::Request(version, from, _) => Client::new(network, from, version).keeping(),
            Does::Connection(version, from) => Client::new(network, from, version),
            Does::TurnedAway => Client::new(network, BANNED, Version::One),
        }
    }
}

async fn repeat(unit: &Unit, client: &Client, times: usize) -> anyhow::Result<()> {
    let question = Question::get(PATH).with(&BROWSER);
    for _ in 0..times {
        let done = match unit.does {
            Does::Request(_, _, status) => client.ask(&question).await?.is(status).map(drop),
            Does::Connection(..) => client.ask(&question).await?.is(200).map(drop),
            Does::TurnedAway => turned_away(client).await,
        };
        done.context(unit.name)?;
    }
    Ok(())
}

async fn turned_away(client: &Client) -> anyhow::Result<()> {
    let mut wire = client.network.dial(client.from, client.network.port).await?;
    // It may be closed or reset.
    let read = wire.read(&mut [0; 1]).await.unwrap_or_default();
    ensure!(read == 0, "bytes for who is banned");
    Ok(())
}
