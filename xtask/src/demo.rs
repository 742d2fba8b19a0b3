//! `cargo xtask demo`: a real n8n behind the gateway, to be looked at.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, timeout},
};

use crate::{
    loopback::free_ports,
    parts,
    process::{Running, command, run},
};

/// How long n8n may take to start: its first start migrates a database.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn demo(url: Option<String>) -> anyhow::Result<()> {
    for port in [8443, 8080, 9180] {
        let free = TcpListener::bind(("127.0.0.1", port)).await;
        free.with_context(|| format!("port {port} is taken; the demo needs 8443, 8080 and 9180"))?;
    }
    let folder = crate::root().join("target/demo");
    fs::create_dir_all(&folder)?;
    let mut n8n = None;
    let url = match url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let (running, url) = start_n8n(&folder).await?;
            n8n = Some(running);
            url
        }
    };
    let mut build = command("cargo");
    build.args(["build", "--locked", "--quiet", "-p", "n8n-gateway"]);
    run("building the gateway", build).await?;
    let mut gateway = start_gateway(&folder, &url)?;
    if let Some(n8n) = &mut n8n {
        wait_for(&url, n8n, &folder.join("n8n.log")).await?;
    }
    wait_for("http://127.0.0.1:9180", &mut gateway, &folder.join("gateway.log")).await?;
    say_what_to_do(&folder, &url);

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let ended = async {
        match &mut n8n {
            Some(n8n) => n8n.ended().await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        why = gateway.ended() => Err(why),
        why = ended => Err(why),
    };
    println!("\n==> stopping");
    gateway.stop().await?;
    if let Some(n8n) = n8n {
        n8n.stop().await?;
    }
    ended
}

async fn start_n8n(folder: &Path) -> anyhow::Result<(Running, String)> {
    let n8n = parts::n8n().await?;
    let [free, broker] = free_ports().await?;
    let port = match TcpListener::bind("127.0.0.1:5678").await {
        Ok(_) => 5678,
        Err(_) => free,
    };
    println!("==> starting n8n on 127.0.0.1:{port}, its data in {}", folder.join("n8n").display());
    let mut command = command(n8n.node());
    command.arg(n8n.script()).arg("start").env("N8N_USER_FOLDER", folder.join("n8n"));
    // n8n's task runner starts `node` by that name.
    command.env("PATH", n8n.path()?).env("N8N_PORT", port.to_string());
    command.env("N8N_RUNNERS_BROKER_PORT", broker.to_string());
    for (name, value) in [
        // As the container has it; without it n8n's rate limits and origin check are off.
        ("NODE_ENV", "production"),
        ("N8N_LISTEN_ADDRESS", "127.0.0.1"),
        ("N8N_PROXY_HOPS", "1"),
        ("N8N_EDITOR_BASE_URL", "https://localhost:8443/"),
        ("N8N_WEBHOOK_URL", "https://localhost:8443/"),
        ("N8N_DIAGNOSTICS_ENABLED", "false"),
        ("N8N_VERSION_NOTIFICATIONS_ENABLED", "false"),
    ] {
        command.env(name, value);
    }
    let running = Running::start("n8n", command, &folder.join("n8n.log"))?;
    Ok((running, format!("http://127.0.0.1:{port}")))
}

fn start_gateway(folder: &Path, url: &str) -> anyhow::Result<Running> {
    let example = crate::root().join("config/development.yaml");
    let policy = fs::read_to_string(example)? + &format!("n8n: {{ url: \"{url}\" }}\n");
    let file = folder.join("policy.yaml");
    fs::write(&file, policy)?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), Into::into);
    let mut command = command(target.join("debug/n8n-gateway"));
    command.arg("run").arg("--config").arg(file);
    Running::start("the gateway", command, &folder.join("gateway.log"))
}

/// Waits until `url` answers its health check with 200.
async fn wait_for(url: &str, running: &mut Running, log: &Path) -> anyhow::Result<()> {
    let address = url.trim_start_matches("http://");
    let path = if address.ends_with(":9180") { "/readyz" } else { "/healthz/readiness" };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        running.check().with_context(|| format!("see {}", log.display()))?;
        if timeout(Duration::from_secs(2), healthy(address, path)).await.unwrap_or(false) {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
    bail!("{url} does not get ready; see {}", log.display())
}

async fn healthy(address: &str, path: &str) -> bool {
    let Ok(mut io) = TcpStream::connect(address).await else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    io.write_all(request.as_bytes()).await.is_ok()
        && io.read_to_end(&mut answer).await.is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

fn say_what_to_do(folder: &Path, url: &str) {
    let (policy, log) = (folder.join("policy.yaml"), folder.join("gateway.log"));
    let (policy, log, folder) = (policy.display(), log.display(), folder.display());
    println!(
        "
n8n ({url}) is behind the gateway.

  Open   https://localhost:8443
         The certificate is this machine's own: accept it, or trust {folder}/state/ca.pem

  Try    As a stranger (127.0.0.2): the editor is not there, webhooks are.
           curl -k --interface 127.0.0.2 https://localhost:8443/
           curl -k --interface 127.0.0.2 https://localhost:8443/webhook/any
         What would be decided, and by which line:
           target/debug/n8n-gateway explain --config {policy} --from 203.0.113.9 POST /rest/login
         Edit {policy} and save: it is in force within two seconds.
           target/debug/n8n-gateway status --config {policy}
         Metrics: curl http://127.0.0.1:9180/metrics
         Access records: tail -f {log}

  Stop   Ctrl-C"
    );
}
