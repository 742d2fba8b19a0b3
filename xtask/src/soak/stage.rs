//! What stands on the stage: a real n8n with its workflows, and the gateway in front of it.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{
    client::{Client, HOST, Network, Question, Version},
    loopback::{free_ports, get},
    parts,
    process::{Running, command},
};

pub(super) const WEBHOOK: &str = "/webhook/soak";
pub(super) const CHAT: &str = "/webhook/44444444-4444-4444-8444-444444444444/chat";
/// The largest file that n8n has for its editor, for whoever has a session.
pub(super) const LARGE: &str = "/types/nodes.json";

/// How long n8n may take to start: its first start migrates a database.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(500);

/// Its parts and where they are.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) ports: Ports,
    parts: parts::N8n,
}

/// Ports on loopback.
pub(super) struct Ports {
    pub(super) https: u16,
    pub(super) http: u16,
    pub(super) admin: u16,
    pub(super) n8n: u16,
    broker: u16,
}

impl Ports {
    /// Ports that are free now.
    async fn find() -> anyhow::Result<Self> {
        let [https, http, admin, n8n, broker] = free_ports().await?;
        Ok(Self { https, http, admin, n8n, broker })
    }
}

impl Stage {
    /// A stage in a folder that is made anew.
    pub(super) async fn build() -> anyhow::Result<Self> {
        let parts = parts::n8n().await?;
        let folder = crate::root().join("target/soak");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, ports: Ports::find().await?, parts })
    }

    /// Starts n8n, with the data that it had.
    pub(super) fn start_n8n(&self) -> anyhow::Result<Running> {
        let n8n = &self.parts;
        let mut command = command(n8n.node());
        command.arg(n8n.script()).arg("start").env("PATH", n8n.path()?);
        let url = format!("https://{HOST}:{}/", self.ports.https);
        let (port, broker) = (self.ports.n8n.to_string(), self.ports.broker.to_string());
        command.env("N8N_USER_FOLDER", &self.folder).envs([
            ("NODE_ENV", "production"),
            ("N8N_LISTEN_ADDRESS", "127.0.0.1"),
            ("N8N_PORT", &port),
            ("N8N_PROXY_HOPS", "1"),
            ("N8N_RUNNERS_BROKER_PORT", &broker),
            ("N8N_EDITOR_BASE_URL", &url),
            ("N8N_WEBHOOK_URL", &url),
            ("N8N_DIAGNOSTICS_ENABLED", "false"),
            ("N8N_VERSION_NOTIFICATIONS_ENABLED", "false"),
            ("N8N_TEMPLATES_ENABLED", "false"),
            // What is kept of executions would fill the disk, and is n8n's own matter.
            ("EXECUTIONS_DATA_SAVE_ON_SUCCESS", "none"),
            ("EXECUTIONS_DATA_SAVE_ON_ERROR", "none"),
        ]);
        // It is killed with all that it has started.
        command.process_group(0);
        Running::start("n8n", command, &self.folder.join("n8n.log"))
    }

    /// Waits until n8n itself answers, triggers included.
    pub(super) async fn until_n8n_answers(&self, n8n: &mut Running) -> anyhow::Result<()> {
        // It takes its paths up one after the other, and until then answers 404, or 200 with a page
        // that says that it starts.
        let mut signs = vec![("/rest/settings", "\"data\":"), ("/", "<div id=\"app\">")];
        if self.folder.join("published").exists() {
            signs.push((WEBHOOK, "\"mark\":"));
        }
        let deadline = Instant::now() + PATIENCE;
        for (path, sign) in signs {
            while !get(self.ports.n8n, path).await.is_ok_and(|it| it.contains(sign)) {
                n8n.check()?;
                ensure!(Instant::now() < deadline, "n8n does not start: see n8n.log");
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Starts the gateway and waits until it is ready.
    pub(super) async fn start_gateway(&self) -> anyhow::Result<Running> {
        let mut command = command(crate::release_binary());
        command.arg("run").arg("--config").arg(self.policy());
        // Ctrl-C is for whoever runs the soak.
        command.process_group(0);
        let mut gateway = Running::start("the gateway", command, &self.folder.join("gateway.log"))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            gateway.check().context("see gateway.log")?;
            if get(self.ports.admin, "/readyz").await.is_ok_and(|it| it.contains(" 200 ")) {
                return Ok(gateway);
            }
            sleep(PAUSE).await;
        }
        bail!("the gateway does not get ready")
    }

    /// Where the policy stands.
    pub(super) fn policy(&self) -> PathBuf {
        self.folder.join("policy.yaml")
    }

    /// Claims n8n, puts the workflows into production, and gives the owner's session.
    pub(super) async fn furnish(
        &self,
        network: &Arc<Network>,
        gate: u16,
    ) -> anyhow::Result<String> {
        let owner = Client::new(network, Ipv4Addr::new(127, 0, 0, 16), Version::One).keeping();
        let person =
            json!({"email": EMAIL, "password": PASSWORD, "firstName": "O", "lastName": "W"});
        owner.ask(&Question::json("/rest/owner/setup", &person)).await?.is(200)?;
        let cookie = sign_in(&owner).await?;
        let owner = owner.signed_in(&cookie);
        let url = format!("http://127.0.0.1:{gate}/");
        let chat = include_str!("../../../tests/real/workflows/chat.json").replace("GATE", &url);
        for workflow in [include_str!("workflows/soak.json"), &chat] {
            let workflow: Value = serde_json::from_str(workflow)?;
            let made = owner.ask(&Question::json("/rest/workflows", &workflow)).await?.is(200)?;
            let made = made.json()?["data"].take();
            let id = made["id"].as_str().context("a workflow's id")?;
            let version = json!({"versionId": made["versionId"], "name": "", "description": ""});
            let activate = format!("/rest/workflows/{id}/activate");
            owner.ask(&Question::json(activate, &version)).await?.is(200)?;
        }
        fs::write(self.folder.join("published"), "")?;
        Ok(cookie)
    }
}

const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "Passw0rd-Owner";

/// Signs in as the owner of n8n, and gives the session's cookie.
pub(super) async fn sign_in(client: &Client) -> anyhow::Result<String> {
    let form = json!({"emailOrLdapLoginId": EMAIL, "password": PASSWORD});
    let answer = client.ask(&Question::json("/rest/login", &form)).await?.is(200)?;
    let given = answer.headers.get_all(http::header::SET_COOKIE).iter();
    let mut given = given.filter_map(|it| it.to_str().ok()?.split(';').next());
    let session = given.find(|it| it.starts_with("n8n-auth="));
    Ok(session.context("a session")?.to_owned())
}

/// Lets whoever asks wait for some time: n8n's workflow does between two pieces of its answer.
pub(super) async fn gate(listener: TcpListener, tasks: tokio_util::task::TaskTracker) {
    while let Ok((mut io, _)) = listener.accept().await {
        tasks.spawn_local(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && io.read_buf(&mut head).await? > 0 {}
            sleep(Duration::from_secs(12)).await;
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                          Content-Length: 2\r\nConnection: close\r\n\r\n{}";
            io.write_all(answer.as_bytes()).await
        });
    }
}

/// Replaces a file at once.
pub(super) fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let next = file.with_extension("next");
    fs::write(&next, text)?;
    Ok(fs::rename(next, file)?)
}
