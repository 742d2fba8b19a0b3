//! `n8n-gateway audit` of three installations: as npm gives it, a hardened one, and one with each
//! fault that can be made. Each fault is found and none invented.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    guard::second_factor::{code, now},
    installation::{Gateway, STRANGER, TEAM, n8n_command},
    owner::{EMAIL, Owner, PASSWORD, until_published},
    processes::{Process, eventually, free_ports, step, turn},
    triggers::ECHO,
};

const HOST: &str = "n8n.test";

/// What every policy here says besides.
const USUAL: &str = "networks: { team: [127.0.0.1, \"::1\"] }\n";

/// n8n, a gateway in front of it, and their files.
pub(crate) struct Audited {
    pub(crate) gateway: Gateway,
    n8n: Process,
    port: u16,
    folder: TempDir,
}

impl Audited {
    /// Starts n8n with `variables` in place of what tests use otherwise; an empty one is left out.
    pub(crate) async fn start(policy: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let policy = policy.replace("FOLDER", &folder.path().display().to_string());
        let gateway = Gateway::start_with(folder.path(), HOST, port, &policy).await;
        let mut command = n8n_command(folder.path(), port, &gateway.url(), &[]);
        for (name, value) in variables {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let mut n8n = Process::start("n8n", &mut command, folder.path());
        let team = gateway.client(TEAM);
        eventually("n8n starts", async || {
            n8n.assert_runs();
            let settings = team.send(Request::get("/rest/settings"), "").await;
            (settings.status == 200 && settings.text().starts_with("{\"data\":")).then_some(())
        })
        .await;
        Self { gateway, n8n, port, folder }
    }

    /// Another gateway in front of the same n8n.
    pub(crate) async fn other(&self, name: &str, policy: &str) -> Gateway {
        let folder = self.path(name);
        fs::create_dir(&folder).unwrap();
        let gateway = Gateway::start_with(&folder, HOST, self.port, policy).await;
        gateway.until_ready_is(200).await;
        gateway
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `audit` says, and whether it is content.
    async fn audit(&self, arguments: &[&str]) -> (bool, Value) {
        let told = self.gateway.told(&[&["audit", "--json"], arguments].concat()).await;
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        let report = serde_json::from_slice(&told.stdout);
        (told.status.success(), report.unwrap_or_else(|why| panic!("{why}: {said}")))
    }

    /// A key that may read what an audit reads, and nothing else, in a file.
    async fn key(&self, owner: &Owner) -> String {
        let scopes = ["user:list", "workflow:list", "execution:list", "communityPackage:list"];
        let wanted = json!({"label": "audit", "expiresAt": null, "scopes": scopes});
        let made = owner.client.send_json(Request::post("/rest/api-keys"), &wanted).await.is(200);
        let file = self.path("api-key");
        fs::write(&file, made.json()["data"]["rawApiKey"].as_str().unwrap()).unwrap();
        file.display().to_string()
    }

    pub(crate) async fn stop(mut self) {
        self.n8n.kill().await;
        self.gateway.kill().await;
        // What they started may still write for a moment.
        eventually("an empty folder", async || fs::remove_dir_all(self.folder.path()).ok()).await;
    }
}

fn ids(report: &Value, part: &str) -> BTreeSet<String> {
    let all = report[part].as_array().unwrap().iter();
    all.map(|it| it["id"].as_str().or(it.as_str()).unwrap().to_owned()).collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|it| (*it).to_owned()).collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What cannot be helped: attacks are known on the release that is tested.
const CANNOT_BE_HELPED: [&str; 1] = ["known-attacks"];

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_as_npm_gives_it() {
    let _turn = turn().await;
    let policy = format!("{USUAL}access: {{ editor: team }}\n");
    let left_out = [
        ("NODE_ENV", ""),
        ("N8N_LISTEN_ADDRESS", ""),
        ("N8N_PROXY_HOPS", ""),
        ("N8N_EDITOR_BASE_URL", ""),
        ("N8N_WEBHOOK_URL", ""),
    ];
    let audited = Audited::start(&policy, &left_out).await;
    chmod(&audited.path(".n8n"), 0o755);
    let (content, report) = audited.audit(&[]).await;
    assert!(!content, "{report:#}");
    let found = ids(&report, "findings");
    let expected = [
        "answers-elsewhere",
        "base-url",
        "community-nodes-allowed",
        "data-folder",
        "known-attacks",
        "node-env",
        "password-length",
        "proxy-hops",
        "push-origin",
        "ssrf-protection",
        "unclaimed",
        "unverified-packages",
    ];
    assert_eq!(found, set(&expected), "{report:#}");
    // Without a key nothing of it was looked at, and nothing of it is fine.
    let unknown = ids(&report, "unknown");
    for id in ["second-factor", "open-webhooks", "odd-failures", "env-file-mode", "backup"] {
        assert!(unknown.contains(id), "{id} in {report:#}");
    }
    let (content, _) = audited.audit(&["--level", "critical"]).await;
    assert!(!content, "nobody owns it");

    step("the forms in which it is told");
    let table = audited.gateway.told(&["audit"]).await;
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("CRITICAL: n8n has no owner yet"), "{table}");
    assert!(table.lines().all(|it| it.chars().count() <= 80), "{table}");
    let sarif = audited.gateway.told(&["audit", "--sarif"]).await;
    let sarif: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|it| it["ruleId"] == "unclaimed" && it["level"] == "error"));
    let page = audited.gateway.told(&["audit", "--html"]).await;
    assert!(String::from_utf8(page.stdout).unwrap().starts_with("<!DOCTYPE html>"));
    audited.stop().await;
}

/// The whole of it, in a policy.
const LOOK: &str = "\
audit:
  every: 10s
  env_files: [FOLDER/env/.env]
  backup: { path: FOLDER/backups }
";

fn write_files(folder: &Path) {
    fs::create_dir(folder.join("env")).unwrap();
    fs::create_dir(folder.join("backups")).unwrap();
    fs::write(folder.join("env/.env"), "NODE_ENV=production\nN8N_SMTP_PASS_FILE=/run/x\n").unwrap();
    fs::write(folder.join("backups/n8n.tar.gz"), "").unwrap();
    chmod(&folder.join("env/.env"), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_as_it_should_be() {
    let _turn = turn().await;
    let policy = format!(
        "{USUAL}access: {{ editor: team, public-api: team }}\n{LOOK}  hours: 00:00-24:00\n"
    );
    let hardened = [
        ("N8N_PASSWORD_MIN_LENGTH", "12"),
        ("N8N_COMMUNITY_PACKAGES_ENABLED", "false"),
        ("N8N_SSRF_PROTECTION_ENABLED", "true"),
    ];
    let audited = Audited::start(&policy, &hardened).await;
    write_files(audited.folder.path());
    chmod(&audited.path(".n8n"), 0o700);
    let owner = Owner::set_up(&audited.gateway.client(TEAM)).await;
    publish_guarded(&owner).await;
    let owner = with_second_factor(&audited, owner).await;
    let key = audited.key(&owner).await;
    let (content, report) = audited.audit(&["--api-key-file", &key, "--level", "low"]).await;
    let mut found = ids(&report, "findings");
    for id in CANNOT_BE_HELPED {
        found.remove(id);
    }
    assert_eq!(found, BTreeSet::new(), "{report:#}");
    assert_eq!(content, !ids(&report, "findings").contains("known-attacks"), "{report:#}");
    let unknown = ids(&report, "unknown");
    assert!(unknown.is_subset(&set(&["unused-triggers"])), "{report:#}");

    step("the gateway looks by itself");
    let calm = |it: &Value| {
        let found = it["found"].as_array().unwrap();
        found.iter().all(|it| CANNOT_BE_HELPED.contains(&it.as_str().unwrap()))
    };
    let event = audited.gateway.event("audited", calm).await;
    assert!(!event.to_string().contains(EMAIL), "{event}");
    let metric = async |label: &str| {
        audited.gateway.metric_with("gateway_audit_findings{", &format!("level=\"{label}\"")).await
    };
    assert!(metric("high").await >= 1.0);
    assert!(audited.gateway.metric("gateway_audit_timestamp_seconds").await > 1.7e9);
    // The confined gateway sees no process, and its policy has no key.
    assert!(audited.gateway.metric("gateway_audit_unknown").await > 5.0);
    let status = audited.gateway.operator("/status").await.is(200).json();
    assert!(status["audit"]["found"].as_array().is_some_and(|it| !it.is_empty()), "{status}");
    audited.stop().await;
}

/// A webhook that asks who calls, under a path that n8n has drawn.
async fn publish_guarded(owner: &Owner) {
    let secret = json!({
        "name": "key", "type": "httpHeaderAuth", "data": {"name": "x-key", "value": "hunter2"},
    });
    let made = owner.client.send_json(Request::post("/rest/credentials"), &secret).await.is(200);
    let id = made.json()["data"]["id"].clone();
    let workflow = json!({
        "name": "guarded", "settings": {}, "connections": {},
        "nodes": [{
            "id": "w", "name": "Webhook", "type": "n8n-nodes-base.webhook", "typeVersion": 2.1, "position": [0, 0],
            "parameters": {"path": "6a1f4c3e-93c1-4f0e-8a57-0d6c1f2b7e90", "authentication": "headerAuth", "options": {}},
            "credentials": {"httpHeaderAuth": {"id": id, "name": "key"}},
            "webhookId": "6a1f4c3e-93c1-4f0e-8a57-0d6c1f2b7e90",
        }],
    });
    owner.publish(&workflow.to_string()).await;
}

/// The owner with a second factor, who has signed in with it.
async fn with_second_factor(audited: &Audited, owner: Owner) -> Owner {
    let offered = owner.client.send(Request::get("/rest/mfa/qr"), "").await.is(200).json();
    let secret = offered["data"]["secret"].as_str().unwrap().to_owned();
    let proof = json!({"mfaCode": code(&secret, now())});
    owner.client.send_json(Request::post("/rest/mfa/enable"), &proof).await.is(200);
    let form = json!({
        "emailOrLdapLoginId": EMAIL, "password": PASSWORD, "mfaCode": code(&secret, now()),
    });
    let team = audited.gateway.client(TEAM);
    let signed = team.send_json(Request::post("/rest/login"), &form).await.is(200);
    Owner { client: team.signed_in(&signed.cookie("n8n-auth")) }
}

/// Faults that need a licence, npm's registry, or somebody else's months of work; the table's own
/// tests make them. n8n with its routes for tests is another one, and in preview mode it asks for no owner.
const NOT_MADE: [&str; 5] =
    ["unclaimed", "many-admins", "odd-failures", "community-nodes", "e2e-tests"];

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one fault after the other")]
async fn an_installation_with_each_fault() {
    let _turn = turn().await;
    let policy = format!(
        "{USUAL}access: {{ editor: anyone, metrics: anyone, public-api: anyone, mcp: anyone }}\n\
         {LOOK}  hours: 00:00-00:00\n  unused: 1s\n"
    );
    let wrong = [
        ("NODE_ENV", ""),
        ("N8N_LISTEN_ADDRESS", ""),
        ("N8N_PROXY_HOPS", "2"),
        ("N8N_EDITOR_BASE_URL", "http://n8n.internal"),
        ("N8N_SAMESITE_COOKIE", "none"),
        ("N8N_SECURE_COOKIE", "false"),
        ("N8N_PREVIEW_MODE", "true"),
        ("N8N_METRICS", "true"),
        ("N8N_DIAGNOSTICS_ENABLED", ""),
        ("N8N_DIAGNOSTICS_CONFIG_FRONTEND", "none;http://127.0.0.1:9"),
        ("N8N_DIAGNOSTICS_CONFIG_BACKEND", "none;http://127.0.0.1:9"),
        ("N8N_DIAGNOSTICS_POSTHOG_API_HOST", "http://127.0.0.1:9"),
        ("N8N_BLOCK_ENV_ACCESS_IN_NODE", "false"),
        ("N8N_BLOCK_FILE_ACCESS_TO_N8N_FILES", "false"),
        ("NODES_EXCLUDE", "[]"),
        ("N8N_SKIP_AUTH_ON_OAUTH_CALLBACK", "true"),
        ("N8N_GIT_NODE_ENABLE_HOOKS", "true"),
        ("N8N_RUNNERS_INSECURE_MODE", "true"),
        ("N8N_EXPRESSION_ENGINE", "legacy"),
        ("N8N_INSECURE_DISABLE_FORM_HTML_SANDBOX", "true"),
        ("N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS", "false"),
        ("N8N_BASIC_AUTH_ACTIVE", "true"),
    ];
    let audited = Audited::start(&policy, &wrong).await;
    write_files(audited.folder.path());
    step("faults in files");
    fs::create_dir(audited.path("env/.git")).unwrap();
    fs::write(audited.path("env/.env"), "N8N_SMTP_PASS=hunter2\n").unwrap();
    chmod(&audited.path("env/.env"), 0o644);
    chmod(&audited.path(".n8n/config"), 0o644);
    chmod(&audited.path(".n8n"), 0o755);
    fs::remove_file(audited.path("backups/n8n.tar.gz")).unwrap();

    step("faults in n8n");
    let owner = insecurely(&audited).await;
    for workflow in [
        include_str!("workflows/echo.json"),
        include_str!("workflows/form.json"),
        include_str!("workflows/chat.json"),
        include_str!("workflows/mcp.json"),
    ] {
        owner.publish(workflow).await;
    }
    let manual = owner.make(include_str!("workflows/manual.json")).await;
    owner.run(&manual, manual["nodes"][0]["name"].as_str().unwrap(), "push").await;
    // Only what was called tells since when somebody counts.
    let stranger = audited.gateway.client(STRANGER);
    until_published(&stranger, "GET", ECHO).await;
    let invited = json!([{"email": "late@example.com", "role": "global:member"}]);
    owner.client.send_json(Request::post("/rest/invitations"), &invited).await.is(200);
    let key = audited.key(&owner).await;
    eventually("the run by hand, and what nobody uses", async || {
        let (_, report) = audited.audit(&["--api-key-file", &key]).await;
        let found = ids(&report, "findings");
        let late = ["odd-runs", "unused-accounts", "unused-triggers"];
        late.iter().all(|it| found.contains(*it)).then_some(())
    })
    .await;
    let (content, report) = audited.audit(&["--api-key-file", &key]).await;
    assert!(!content);
    let mut expected = ids(&report, "fine");
    expected.extend(ids(&report, "unknown"));
    for id in NOT_MADE {
        expected.remove(id);
    }
    assert_eq!(expected, BTreeSet::new(), "each fault is found: {report:#}");
    assert!(!report.to_string().contains("hunter2"), "{report:#}");
    audited.stop().await;
}

/// The owner of an n8n whose cookie is of another kind.
async fn insecurely(audited: &Audited) -> Owner {
    let team = audited.gateway.client(TEAM);
    let owner = json!({"email": EMAIL, "password": PASSWORD, "firstName": "O", "lastName": "O"});
    let claimed = team.send_json(Request::post("/rest/owner/setup"), &owner).await.is(200);
    Owner { client: team.signed_in(&claimed.cookie("n8n-auth")) }
}
