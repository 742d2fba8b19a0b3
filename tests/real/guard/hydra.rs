//! hydra, which guesses passwords for a living.

use std::{fs, net::Ipv4Addr};

use hyper::Request;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{OPEN, client, stranger};
use crate::{
    installation::{Installation, STRANGER},
    owner::{Owner, PASSWORD, sign_in},
    processes::{Process, step},
    relay::Relay,
};

const WORKER: &str = "worker@example.com";

/// As many as the jail takes: fail2ban's `maxretry`.
const MAX_RETRY: usize = 5;

/// One password for many people: strangers have two tries a minute at one. hydra does not know a
/// form whose refusal is a 401, and tries each three times.
const PEOPLE: usize = 10;

/// What hydra sends, and what says that it was wrong: n8n's words, and the gateway's.
const FORM: &str = "/rest/login:emailOrLdapLoginId=^USER^&password=^PASS^:F=message";

pub(super) async fn is_banned(installation: &Installation, owner: &Owner) {
    step("hydra");
    owner.invite(WORKER).await;
    let gateway = installation.gateway_with("hydra", "localhost", OPEN).await;
    // hydra cannot be told where to come from, and this machine's own address is never banned.
    let relay = Relay::start((Ipv4Addr::LOCALHOST, 0), STRANGER, gateway.port()).await;
    let folder = installation.folder.path().join("hydra");
    let people: Vec<_> = (0..PEOPLE).map(|n| format!("person-{n}@example.com")).collect();
    let names = folder.join("names");
    fs::write(&names, people.join("\n")).unwrap();
    let mut command = Command::new("hydra");
    command.args(["-I", "-4", "-t", "1", "-w", "5", "-p", "Winter2026", "-L"]).arg(names);
    command.arg("-s").arg(relay.port().to_string());
    command.args(["localhost", "https-post-form", FORM]).current_dir(&folder);
    let mut hydra = Process::start("hydra", &mut command, &folder);

    let banned = gateway.event("banned", |_| true).await;
    assert_eq!((&banned["jail"], &banned["count"]), (&json!("sign-in"), &json!(MAX_RETRY)));
    assert_eq!(banned["net"], "127.0.0.2/32", "{banned}");
    let there = client(&gateway, 2);
    assert!(there.is_dropped().await);
    hydra.end().await;
    assert!(hydra.said().contains("0 valid password"), "{}", hydra.said());
    let failed = gateway.events("sign_in_failed");
    assert_eq!(failed.len(), MAX_RETRY, "what came later was dropped: {failed:?}");

    step("the others sign in meanwhile");
    let elsewhere = client(&gateway, 3);
    sign_in(&elsewhere, WORKER, PASSWORD).await.is(200);

    step("why somebody is banned, and letting them in");
    let (yes, why) = gateway.bans(&["why", "127.0.0.2"]).await;
    assert!(yes, "{why}");
    let offences = why["banned"]["offences"].as_array().unwrap();
    assert_eq!(offences.len(), MAX_RETRY, "{why}");
    let ids =
        |of: &[Value]| -> Vec<Value> { of.iter().map(|it| it["request_id"].clone()).collect() };
    assert_eq!(ids(offences), ids(&failed), "{why}");
    for offence in offences {
        assert_eq!(offence["offence"], "wrong_password", "{why}");
        assert_eq!(offence["surface"], "sign-in", "{why}");
    }
    let (yes, lifted) = gateway.bans(&["remove", "127.0.0.2", "--reason", "a test"]).await;
    assert!(yes && lifted["bans"][0]["net"] == "127.0.0.2/32", "{lifted}");
    there.send(Request::get("/rest/login"), "").await.is(401);
    let (no, why) = gateway.bans(&["why", &stranger(2).to_string()]).await;
    assert!(!no && why["banned"].is_null() && why["held"] == json!([]), "{why}");
    gateway.kill().await;
}
