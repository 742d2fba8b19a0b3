//! A gateway whose instructions callgrind counts, in front of a backend that always says the same.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use crate::{
    chain::write_chain,
    client::{HOST, Network},
    loopback::{free_ports, get},
    process::{Running, command, run},
};

/// How long it may take to start: it is fifty times slower than by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was done is given to come to its end: connections close, and records are written.
const SETTLING: Duration = Duration::from_millis(300);

/// Bytes are copied by loops: `rep movsb` is one instruction, but counts as one for each byte.
const COPYING: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824";

/// The gateway, and where its counts go.
pub(super) struct Counted {
    folder: PathBuf,
    gateway: Running,
    dumps: u32,
}

impl Counted {
    /// Starts it in a folder that is made anew, and gives the way to it.
    pub(super) async fn start(binary: &Path) -> anyhow::Result<(Self, Network)> {
        let folder = crate::root().join("target/instructions");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let (_, authority) = write_chain("of the counts", HOST, &folder)?;
        let n8n = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let [https, http, admin] = free_ports().await?;
        let text = policy([https, http, admin, n8n.local_addr()?.port()]);
        fs::write(folder.join("policy.yaml"), text)?;
        let clients = TaskTracker::new();
        clients.spawn(backend(n8n, clients.clone()));

        // One core is one runtime with one pool: whose turn it is cannot change what is done.
        let mut valgrind = command("taskset");
        valgrind.args(["-c", &first_core()?, "valgrind", "--tool=callgrind", "--quiet"]);
        valgrind.arg(format!("--callgrind-out-file={}", folder.join("dump").display()));
        valgrind.arg(binary).arg("run").arg("--config").arg(folder.join("policy.yaml"));
        valgrind.env("GLIBC_TUNABLES", COPYING);
        let log = folder.join("gateway.log");
        let gateway = Running::start("the gateway", valgrind, &log)?;
        let mut counted = Self { folder, gateway, dumps: 0 };
        let deadline = Instant::now() + PATIENCE;
        while !get(admin, "/readyz").await.is_ok_and(|it| it.contains(" 200 ")) {
            counted.gateway.check().with_context(|| format!("see {}", log.display()))?;
            ensure!(Instant::now() < deadline, "it does not get ready: see {}", log.display());
            sleep(PAUSE).await;
        }
        Ok((counted, Network::new(https, http, &[authority])?))
    }

    /// Bans an address.
    pub(super) async fn ban(&self, binary: &Path, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut ban = command(binary);
        ban.args(["bans", "add", &address.to_string(), "--reason", "counted", "--config"]);
        ban.arg(self.folder.join("policy.yaml"));
        run("a ban", ban).await
    }

    /// How many instructions there were since the last time; what took them is kept under `name`.
    pub(super) async fn dump(&mut self, name: &str) -> anyhow::Result<u64> {
        sleep(SETTLING).await;
        let mut dump = command("vgdb");
        dump.arg(format!("--pid={}", self.gateway.id()?)).args(["dump", name]);
        let said = dump.output().await.context("vgdb, which comes with valgrind")?;
        ensure!(said.status.success(), "vgdb: {}", String::from_utf8_lossy(&said.stderr).trim());
        self.dumps += 1;
        let file = self.folder.join(format!("{name}.callgrind"));
        fs::rename(self.folder.join(format!("dump.{}", self.dumps)), &file)?;
        let text = fs::read_to_string(&file)?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(totals.context("no totals")?.trim().parse()?)
    }

    /// Ends it.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let status = self.gateway.end().await?;
        ensure!(status.success(), "the gateway ended with {status}");
        Ok(())
    }
}

/// A policy with all guards, and limits that are wide enough for one client that does everything.
fn policy([https, http, admin, n8n]: [u16; 4]) -> String {
    let others: Vec<_> = (0..200).map(|n| format!("10.{n}.0.0/24")).collect();
    let others = others.join(", ");
    format!(
        "version: 1\n\
         site: {{ host: {HOST} }}\n\
         listen: {{ https: [\"127.0.0.1:{https}\"], http: [\"127.0.0.1:{http}\"], admin: \"127.0.0.1:{admin}\" }}\n\
         tls: {{ certificate: {{ chain: chain.pem, key: key.pem }} }}\n\
         n8n: {{ url: \"http://127.0.0.1:{n8n}\" }}\n\
         networks: {{ team: [127.0.0.16/28, {others}] }}\n\
         access: {{ editor: team }}\n\
         rate_limits: {{ rest: {{ per: client, rate: 100000/s, burst: 100000 }} }}\n\
         limits: {{ connections: {{ rate: 100000/s, rate_per_client: 100000/s }} }}\n\
         hardening: off\n\
         log: {{ level: info }}\n\
         state: {{ dir: state }}\n"
    )
}

/// The first core that this process may use.
fn first_core() -> anyhow::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cores = cores.context("no list of cores")?.trim();
    Ok(cores.split([',', '-']).next().unwrap_or("0").to_owned())
}

/// Says the same to everybody, in one piece.
async fn backend(listener: TcpListener, clients: TaskTracker) {
    while let Ok((io, _)) = listener.accept().await {
        clients.spawn(answer(io));
    }
}

async fn answer(mut io: TcpStream) -> std::io::Result<()> {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
                          Content-Length: 64\r\n\r\n";
    io.set_nodelay(true)?;
    let answer = format!("{ANSWER}{:64}", "{\"data\":{}}");
    let mut head = Vec::new();
    while io.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            io.write_all(answer.as_bytes()).await?;
            head.clear();
        }
    }
    Ok(())
}
