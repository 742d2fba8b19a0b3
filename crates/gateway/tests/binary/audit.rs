//! `audit` and `doctor` before an n8n that answers as it is told: what is found, how it is told, and
//! how the commands exit. The real n8n is audited in `tests/real`.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    thread,
};

use serde_json::{Value, json};

use crate::house::{House, command, text};

/// What an n8n answers: the path with its query, and whether the right key is shown.
type Script = fn(&str, bool) -> (u16, Value);

const KEY: &str = "hunter2";

/// An n8n that answers by `script`; one thread a connection.
fn scripted(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for io in listener.incoming().flatten() {
            thread::spawn(move || answer(io, script));
        }
    });
    address
}

fn answer(mut io: TcpStream, script: Script) {
    let mut reader = BufReader::new(io.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
        let length = length.map_or(0, |it| it.trim().parse().unwrap());
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        let path = head.split_whitespace().nth(1).unwrap();
        let (status, body) = script(path, head.contains(&format!("x-n8n-api-key: {KEY}")));
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-ratelimit-remaining: 999\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        if io.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn settings(unclaimed: bool) -> Value {
    json!({"data": {
        "userManagement": {"showSetupOnFirstLoad": unclaimed, "passwordMinLength": 12},
        "sso": {"oidc": {"loginUrl": "https://localhost/rest/sso/oidc/login"}},
        "authCookie": {"secure": true}, "previewMode": false, "communityNodesEnabled": false,
    }})
}

fn unclaimed(path: &str, _: bool) -> (u16, Value) {
    match path {
        "/rest/settings" => (200, settings(true)),
        "/rest/login" => (400, json!({})),
        _ => (404, json!({})),
    }
}

/// Two pages of accounts, and a workflow that anybody may start.
fn in_use(path: &str, key: bool) -> (u16, Value) {
    if path.starts_with("/api/v1/") && !key {
        return (401, json!({"message": "unauthorized"}));
    }
    let user = |email: &str, factor: bool| json!({"email": email, "role": "global:member", "mfaEnabled": factor});
    match path {
        "/rest/settings" => (200, settings(false)),
        "/rest/login" => (400, json!({})),
        "/api/v1/users?includerole=true&limit=100" => {
            (200, json!({"data": [user("a@example.com", true)], "nextCursor": "b+/="}))
        }
        "/api/v1/users?includerole=true&limit=100&cursor=b%2b%2f%3d" => {
            (200, json!({"data": [user("\u{1b}[2Jb@example.com", false)], "nextCursor": null}))
        }
        path if path.starts_with("/api/v1/workflows?") => {
            let node = json!({"name": "W", "type": "n8n-nodes-base.webhook", "parameters": {"path": "orders"}});
            (
                200,
                json!({"data": [{"id": "1", "name": "Orders", "active": true, "nodes": [node]}], "nextCursor": null}),
            )
        }
        path if path.starts_with("/api/v1/executions?") => {
            (200, json!({"data": [], "nextCursor": null}))
        }
        "/api/v1/community-packages" => (403, json!({"message": "Forbidden"})),
        _ => (404, json!({})),
    }
}

/// A policy for this n8n, in a folder of its own.
fn policy(n8n: SocketAddr, more: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let admin = folder.path().join("none.sock").display().to_string();
    fs::write(&file, House::policy(1, n8n, more).replace("ADMIN", &admin)).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

fn audited(arguments: &[&str]) -> (Option<i32>, Value) {
    let told = command(&[&["audit", "--json"], arguments].concat());
    let report = serde_json::from_slice(&told.stdout);
    assert!(report.is_ok(), "{}", text(&told.stderr));
    (told.status.code(), report.unwrap_or_default())
}

fn ids(report: &Value, part: &str) -> BTreeSet<String> {
    let all = report[part].as_array().unwrap().iter();
    all.map(|it| it["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_found_makes_the_exit() {
    let (_folder, file) = policy(scripted(unclaimed), "");
    let (exit, report) = audited(&["--config", &file, "--level", "critical"]);
    assert_eq!(exit, Some(1), "{report:#}");
    assert!(ids(&report, "findings").contains("unclaimed"), "{report:#}");
    let (_folder, file) = policy(scripted(unclaimed), "audit: { accept: [unclaimed] }\n");
    let (exit, report) = audited(&["--config", &file, "--level", "critical"]);
    assert_eq!(exit, Some(0), "{report:#}");
    assert_eq!(ids(&report, "accepted"), BTreeSet::from(["unclaimed".to_owned()]));
}

#[test]
fn where_nobody_answers_nothing_is_fine() {
    let (_folder, file) = policy(SocketAddr::from(([127, 0, 0, 1], 1)), "");
    let (exit, report) = audited(&["--config", &file]);
    assert_eq!(exit, Some(0), "{report:#}");
    assert_eq!(report["findings"], json!([]));
    assert_eq!(report["fine"], json!(["open-surfaces"]));
    assert!(report["unknown"][0]["why"].as_str().unwrap().contains("refused"), "{report:#}");
}

#[test]
fn a_key_shows_accounts_and_workflows_page_by_page() {
    let (folder, file) = policy(scripted(in_use), "");
    let key = folder.path().join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let (_, report) = audited(&["--config", &file, "--api-key-file", &key.display().to_string()]);
    let found = ids(&report, "findings");
    for id in ["second-factor", "open-webhooks", "guessable-paths"] {
        assert!(found.contains(id), "{id} in {report:#}");
    }
    let factor =
        report["findings"].as_array().unwrap().iter().find(|it| it["id"] == "second-factor");
    assert_eq!(factor.unwrap()["found"].as_array().unwrap().len(), 1, "{factor:?}");
    assert!(!report.to_string().contains(KEY));
    // What the key may not read is no finding, nor fine.
    fs::write(&key, "another").unwrap();
    let (_, report) = audited(&["--config", &file, "--api-key-file", &key.display().to_string()]);
    let unknown = report["unknown"].as_array().unwrap().iter();
    let why: Vec<_> = unknown.filter(|it| it["id"] == "second-factor").collect();
    assert_eq!(why[0]["why"], "n8n does not know the key");
    let table = command(&["audit", "--config", &file]);
    assert!(!text(&table.stdout).contains('\u{1b}'), "names command no terminal");
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let (_folder, file) = policy(scripted(in_use), "");
    let none = command(&["audit", "--config", &file, "--api-key-file", "/no/such/key"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("/no/such/key"), "{}", text(&none.stderr));
    let both = command(&["audit", "--config", &file, "--json", "--html"]);
    assert_eq!(both.status.code(), Some(1));
    assert_eq!(command(&["audit", "--config", "/no/such/policy"]).status.code(), Some(78));
}

/// The confined gateway reads what its policy names: an environment, git's index, how old backups
/// are; and it sees nothing of n8n's process.
#[test]
fn a_running_gateway_looks_by_itself() {
    let look =
        "audit: { every: 10s, level: low, env_files: [n8n/.env], backup: { path: backups } }\n";
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().to_owned();
    for name in ["n8n/.git", "backups"] {
        fs::create_dir_all(files.join(name)).unwrap();
    }
    fs::write(files.join("n8n/.env"), format!("N8N_SMTP_PASS={KEY}\n")).unwrap();
    fs::set_permissions(files.join("n8n/.env"), fs::Permissions::from_mode(0o644)).unwrap();
    let look = look.replace("n8n/.env", &files.join("n8n/.env").display().to_string());
    let look = look.replace("path: backups", &format!("path: {}", files.join("backups").display()));
    let house = House::start_with(&look, |_| {});
    house.wait_for_log("\"event\":\"audited\"");
    let log = house.log.lock().unwrap().clone();
    let event = log.lines().find(|it| it.contains("\"audited\"")).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["level"], "WARN", "{event}");
    let found = event["found"].to_string();
    for id in ["backup", "env-file-mode", "env-file-git", "env-file-secrets"] {
        assert!(found.contains(&format!("\"{id}\"")), "{id} in {event}");
    }
    assert!(!log.contains(KEY));
    let metrics = house.admin("GET", "/metrics");
    assert!(metrics.contains("gateway_audit_findings{level=\"high\"} 3"), "{metrics}");
    let policy = house.file("policy.yaml").display().to_string();
    let status = command(&["status", "--config", &policy]);
    assert!(text(&status.stdout).contains("audit        WARNING: "), "{}", text(&status.stdout));
    assert!(text(&status.stdout).contains("high: there is no new backup (backup)"));
}

/// An answer in parts, each a moment after the one before.
fn streaming() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut io in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = String::new();
                let mut reader = BufReader::new(io.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                let whole = head.contains("/webhook/whole");
                let parts: &[&str] = if whole { &["abc"] } else { &["a", "b", "c"] };
                let begun = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                io.write_all(begun.as_bytes()).unwrap();
                for part in parts {
                    io.write_all(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).unwrap();
                    thread::sleep(std::time::Duration::from_secs(1));
                }
                drop(io.write_all(b"0\r\n\r\n"));
            });
        }
    });
    address
}

#[test]
fn the_doctor_sees_whether_answers_come_as_they_are_made() {
    let n8n = streaming().to_string();
    let ours = |policy: String| {
        let (start, rest) = policy.split_once("n8n: { url: \"http://").unwrap();
        let (_, end) = rest.split_once('"').unwrap();
        format!("{start}n8n: {{ url: \"http://{n8n}\"{end}")
    };
    let house = House::start_as(ours, |_| {});
    let (policy, port) =
        (house.file("policy.yaml").display().to_string(), house.https.port().to_string());
    let stream = |path: &str| {
        let told = command(&[
            "doctor",
            "--config",
            &policy,
            "--connect",
            "127.0.0.1",
            "--https-port",
            &port,
            "--stream",
            path,
            "--json",
        ]);
        let report: Value = serde_json::from_slice(&told.stdout).unwrap();
        let steps = report["steps"].as_array().unwrap();
        steps.iter().find(|it| it["name"] == "stream").unwrap().clone()
    };
    let parts = stream("/webhook/parts");
    assert_eq!(parts["ending"], "fine", "{parts}");
    let whole = stream("/webhook/whole");
    assert_eq!(whole["ending"], "wrong", "{whole}");
}

#[test]
fn the_doctor_says_what_is_not_there() {
    let (_folder, file) = policy(SocketAddr::from(([127, 0, 0, 1], 1)), "");
    let told = command(&[
        "doctor",
        "--config",
        &file,
        "--connect",
        "127.0.0.1",
        "--https-port",
        "1",
        "--json",
    ]);
    assert_eq!(told.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    let steps = report["steps"].as_array().unwrap();
    let step = |name: &str| steps.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(step("certificate")["ending"], "wrong", "{report:#}");
    assert!(
        step("certificate")["change"].as_str().unwrap().contains("nothing answers"),
        "{report:#}"
    );
    // The policy here has no listener in clear; n8n is not there.
    assert_eq!(step("redirect")["ending"], "unknown", "{report:#}");
    assert_eq!(step("client address")["ending"], "wrong", "{report:#}");
    assert!(steps.iter().all(|it| it["name"] != "sign-in page"), "nobody is there to ask");
}
