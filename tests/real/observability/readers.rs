//! CrowdSec and fail2ban read what the gateway itself has written about a guesser.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Server, run, shipped};
use crate::{
    client::Client,
    installation::{Gateway, program},
    processes::{eventually, free_ports, given, step, turn},
};

const HOST: &str = "n8n.test";

/// Who guesses, and who only calls a webhook.
const GUESSER: [u8; 4] = [127, 0, 0, 77];
const SENDER: [u8; 4] = [127, 0, 0, 78];

/// How often it does: more than either tool lets pass.
const GUESSES: usize = 7;

/// What the gateway has written: its log, and the one in fail2ban's words.
struct Written {
    _folder: TempDir,
    log: PathBuf,
    fail2ban: PathBuf,
}

/// A gateway in front of an n8n that takes no password, and a guesser.
async fn written() -> Written {
    let folder = tempfile::tempdir().unwrap();
    let n8n = Server::start(
        0,
        None,
        |seen| {
            if seen.head.uri.path() == "/rest/login" { 401 } else { 200 }
        },
    )
    .await;
    let [port] = free_ports();
    let policy = format!(
        r#"
version: 1
site: {{ host: {HOST} }}
listen: {{ https: ["127.0.0.1:{port}"], http: [], admin: "unix:{0}/admin.sock" }}
tls: {{ self_signed: true }}
n8n: {{ url: "http://127.0.0.1:{1}" }}
state: {{ dir: "{0}/state" }}
access: {{ editor: anyone }}
rate_limits: {{ sign-in: [] }}
bans: {{ jails: {{ sign-in: {{ max_retry: {GUESSES} }} }} }}
log: {{ fail2ban: "{0}/logs/fail2ban.log" }}
"#,
        folder.path().display(),
        n8n.port
    );
    fs::create_dir(folder.path().join("logs")).unwrap();
    let gateway = Gateway::start_from(program(), folder.path(), HOST, port, &policy).await;
    gateway.until_ready_is(200).await;
    let guesser = gateway.client(GUESSER.into());
    gateway.client(SENDER.into()).send(Request::post("/webhook/orders"), "x").await.is(200);
    for _ in 0..GUESSES {
        guess(&guesser).await;
    }
    gateway.event("banned", |it| it["jail"] == "sign-in").await;
    let fail2ban = folder.path().join("logs/fail2ban.log");
    eventually("the ban in fail2ban's words", async || {
        fs::read_to_string(&fail2ban).ok().filter(|it| it.contains("] Ban ")).map(|_| ())
    })
    .await;
    let log = folder.path().join("all.log");
    fs::write(&log, gateway.said()).unwrap();
    gateway.kill().await;
    Written { _folder: folder, log, fail2ban }
}

async fn guess(client: &Client) {
    let form: Value = json!({ "emailOrLdapLoginId": "owner@example.com", "password": "guessed" });
    client.send_json(Request::post("/rest/login"), &form).await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn fail2ban_and_crowdsec_find_the_guesser_and_nobody_else() {
    let _turn = turn().await;
    let written = written().await;
    let guesser = GUESSER.map(|it| it.to_string()).join(".");
    let sender = SENDER.map(|it| it.to_string()).join(".");

    step("fail2ban, the gateway's own log");
    for (mode, expected) in [("offences", GUESSES), ("sign-in", GUESSES)] {
        let filter = format!("filter.d/n8n-gateway.conf[mode={mode}]");
        let found = fail2ban(&written.log, &filter).await;
        assert_eq!(found, vec![guesser.clone(); expected], "{mode}");
    }
    step("fail2ban, the gateway's bans in its own words");
    let found = fail2ban(&written.fail2ban, "filter.d/n8n-gateway-bans.conf").await;
    assert_eq!(found, std::slice::from_ref(&guesser));
    step("fail2ban, the jails");
    jails(&written.log).await;

    step("CrowdSec");
    let said = crowdsec(&written.log).await;
    assert!(said.contains(&format!("Ip {guesser} performed 'n8n-gateway/sign-in-bf'")), "{said}");
    assert!(!said.contains(&format!("Ip {sender} performed")), "{said}");
}

fn readers() -> PathBuf {
    given("N8N_GATEWAY_TEST_LOG_READERS")
}

fn fail2ban_program(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(readers().join("usr/bin").join(name));
    command.env("PYTHONPATH", readers().join("usr/lib/python3/dist-packages")).env("TZ", "UTC");
    command
}

/// The addresses that a filter finds in a log.
async fn fail2ban(log: &Path, filter: &str) -> Vec<String> {
    let mut regex = fail2ban_program("fail2ban-regex");
    regex.arg("--config").arg(readers().join("etc/fail2ban"));
    regex.args(["--out", "ip"]).arg(log).arg(shipped("fail2ban").join(filter));
    let (fine, said) = run(&mut regex).await;
    assert!(fine, "{said}");
    said.lines().map(str::to_owned).collect()
}

/// fail2ban reads the whole of its configuration with ours in it.
async fn jails(log: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (readers().join("etc/fail2ban"), folder.path().join("fail2ban"));
    let (fine, said) = run(Command::new("cp").arg("-r").args([&from, &to])).await;
    assert!(fine, "{said}");
    // What Debian switches on needs a log that is not here.
    fs::remove_dir_all(to.join("jail.d")).unwrap();
    for kind in ["filter.d", "jail.d"] {
        fs::create_dir_all(to.join(kind)).unwrap();
        for file in fs::read_dir(shipped("fail2ban").join(kind)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(kind).join(file.file_name())).unwrap();
        }
    }
    let jails = to.join("jail.d/n8n-gateway.conf");
    let text = fs::read_to_string(&jails).unwrap();
    let text = text.replace("enabled  = false", "enabled  = true");
    let text = text.replace("enabled   = false", "enabled   = true");
    let named = text.replace("/var/log/n8n-gateway/fail2ban.log", &log.display().to_string());
    assert_ne!(named, text);
    fs::write(jails, named).unwrap();
    let mut client = fail2ban_program("fail2ban-client");
    client.arg("--conf").arg(to).arg("--dp");
    let (fine, said) = run(&mut client).await;
    for jail in ["['add', 'n8n-gateway', 'systemd']", "['add', 'n8n-gateway-bans', 'auto']"] {
        assert!(fine && said.contains(jail), "{jail}: {said}");
    }
}

/// What CrowdSec says of a log, with its own database and nobody else's rules.
async fn crowdsec(log: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let own = |path: &str| folder.path().join(path);
    let (hub, etc) = (readers().join("usr/share/crowdsec/hub"), readers().join("etc/crowdsec"));
    for path in ["parsers/s00-raw", "parsers/s01-parse", "parsers/s02-enrich", "scenarios", "data"]
    {
        fs::create_dir_all(own(path)).unwrap();
    }
    let (fine, said) =
        run(Command::new("cp").arg("-r").args([etc.join("patterns"), own("patterns")])).await;
    assert!(fine, "{said}");
    for (from, to) in [
        (hub.join("parsers/s00-raw/crowdsecurity/syslog-logs.yaml"), "parsers/s00-raw/syslog.yaml"),
        (
            hub.join("parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml"),
            "parsers/s02-enrich/date.yaml",
        ),
        (shipped("crowdsec/n8n-gateway-logs.yaml"), "parsers/s01-parse/n8n-gateway-logs.yaml"),
        (shipped("crowdsec/n8n-gateway-scenarios.yaml"), "scenarios/n8n-gateway-scenarios.yaml"),
        (etc.join("simulation.yaml"), "simulation.yaml"),
        (etc.join("profiles.yaml"), "profiles.yaml"),
    ] {
        fs::copy(&from, own(to)).unwrap_or_else(|why| panic!("{}: {why}", from.display()));
    }
    let [port] = free_ports();
    let config = json!({
        "common": { "daemonize": false, "log_media": "stdout", "log_level": "info", "working_dir": "." },
        "config_paths": {
            "config_dir": own(""), "data_dir": own("data"), "simulation_path": own("simulation.yaml"),
            "hub_dir": hub, "index_path": hub.join(".index.json"),
            "notification_dir": own("notifications"), "plugin_dir": own("plugins"),
        },
        "crowdsec_service": { "parser_routines": 1 },
        "db_config": { "type": "sqlite", "db_path": own("data/crowdsec.db"), "use_wal": false },
        "prometheus": { "enabled": false },
        "api": {
            "client": { "credentials_path": own("credentials.yaml") },
            "server": { "listen_uri": format!("127.0.0.1:{port}"), "profiles_path": own("profiles.yaml") },
        },
    });
    let file = own("config.yaml");
    fs::write(&file, config.to_string()).unwrap();
    fs::write(own("credentials.yaml"), "").unwrap();
    let programs = readers().join("usr/bin");
    let mut register = Command::new(programs.join("cscli"));
    register.arg("-c").arg(&file).args(["machines", "add", "test", "--password", "secret", "-f"]);
    register.arg(own("credentials.yaml")).arg("--force");
    let (fine, said) = run(&mut register).await;
    assert!(fine, "{said}");
    let mut crowdsec = Command::new(programs.join("crowdsec"));
    crowdsec.arg("-c").arg(&file).args(["-type", "n8n-gateway", "-dsn"]);
    crowdsec.arg(format!("file://{}", log.display()));
    let (fine, said) = run(&mut crowdsec).await;
    assert!(fine, "{said}");
    said
}
