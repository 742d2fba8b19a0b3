//! Known attacks in front of the real n8n: it says which release it is, what that release is open to
//! is stopped, and everything else is answered as if nothing stood in between.

use std::collections::BTreeMap;

use gateway_testkit::{Example, Gateway};
use hyper::{Request, header};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, ask_n8n},
    installation::Installation,
    owner::{Owner, until_published},
    processes::{step, turn},
    triggers::ECHO,
};

/// Everybody may try everything, and nobody is banned for it.
const OPEN: &str = "\
access: { editor: anyone, public-api: anyone, mcp: anyone }
rate_limits: { sign-in: [], oauth-server: [] }
bans: { jails: { attack: { enabled: false }, api-key: { enabled: false } } }
";

/// What the n8n that is installed is open to by a request (research of 21 November 2026), as far as it
/// is stopped; the others are no release's own.
const STOPPED: [&str; 7] = [
    "CVE-2026-110843",
    "CVE-2026-110846",
    "CVE-2026-110848",
    "CVE-2026-110852",
    "CVE-2026-119408",
    "file-names",
    "prototype-keys",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_n8n_is_open_to_is_stopped_and_all_else_is_answered_alike() {
    let _turn = turn().await;
    let installation = Installation::start_with("n8n.test", OPEN).await;
    let owner = Owner::set_up(&installation.team).await;
    owner.publish(include_str!("workflows/echo.json")).await;
    until_published(&installation.stranger, "GET", ECHO).await;

    step("the release");
    let told = installation.gateway.event("n8n_release", |_| true).await;
    assert_eq!(told["release"], "2.40.7", "{told}");
    let now = reactions(&installation).await;
    let stopped: Vec<&str> =
        now.iter().filter(|(_, now)| *now == "block").map(|(id, _)| id.as_str()).collect();
    assert_eq!(stopped, STOPPED);
    commands(&installation).await;

    step("requests of known attacks");
    for example in Example::all().into_iter().filter(|it| !it.websocket) {
        compare(&installation, &example, &now).await;
    }
    workflows(&owner).await;
    installation.stop().await;
}

/// What is done about each attack.
async fn reactions(installation: &Installation) -> BTreeMap<String, String> {
    let list = installation.gateway.operator("/attacks").await.is(200).json();
    let attacks = list["attacks"].as_array().unwrap().iter();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    attacks.map(|it| (text(&it["id"]), text(&it["now"]))).collect()
}

/// The operator is told in words.
async fn commands(installation: &Installation) {
    let told = installation.gateway.told(&["attacks", "list", "--open"]).await;
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.starts_with("n8n 2.40.7\n"), "{text}");
    assert!(text.contains("CVE-2026-119408      block   yes"), "{text}");
    assert!(!text.contains("CVE-2026-21858"), "{text}");
    let told = installation.gateway.told(&["status"]).await;
    assert!(String::from_utf8(told.stdout).unwrap().contains("release 2.40.7"));
}

/// Holds what a stranger is answered through the gateway against what n8n answers itself.
async fn compare(installation: &Installation, example: &Example, now: &BTreeMap<String, String>) {
    let lines = at_echo(&example.lines);
    let place = format!("{}: {lines}", example.entry);
    let through = through(&installation.stranger, &lines, &example.body).await;
    let told = async |outcome: &str| {
        let is = |it: &Value| it["attack"] == example.entry.as_str() && it["outcome"] == outcome;
        installation.gateway.event("attack", is).await
    };
    if example.stops && now[&example.entry] == "block" {
        assert_eq!(through.status, 403, "{place}");
        let said = through.text();
        assert!(said.contains("known attack") || said.contains(&example.entry), "{place}: {said}");
        return;
    }
    // What is an attack of several kinds is stopped as one of them.
    if through.status == 403 && through.text().contains("known attack") {
        assert!(example.stops, "{place} was stopped");
        return;
    }
    if example.stops && now[&example.entry] == "report" {
        told("reported").await;
    }
    let request = Gateway::request(&lines, example.body.clone());
    let direct = ask_n8n(installation.n8n.port(), request).await;
    assert_eq!(through.status, direct.status, "{place}: {} {}", through.text(), direct.text());
    let kind = |it: &Answer| it.header("content-type").to_owned();
    assert_eq!(kind(&through), kind(&direct), "{place}");
    if lines.contains(ECHO) && direct.status == 200 {
        for field in ["body", "query"] {
            assert_eq!(through.json()[field], direct.json()[field], "{place}");
        }
    }
}

/// Webhooks of the examples are one that tells what n8n has read.
fn at_echo(lines: &str) -> String {
    let known = ["/webhook/upload", "/webhook/register", "/webhook/x"];
    known.iter().fold(lines.to_owned(), |lines, path| {
        if lines.starts_with(&format!("POST {path}\n")) { lines.replace(path, ECHO) } else { lines }
    })
}

/// What a stranger is answered through the gateway.
async fn through(client: &Client, lines: &str, body: &[u8]) -> Answer {
    let (head, _) = Gateway::request(lines, "").into_parts();
    let mut request = Request::builder().method(head.method).uri(head.uri);
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != header::HOST) {
        request = request.header(name, value);
    }
    client.send(request, body.to_vec()).await
}

/// The editor saves what it always saves, and not what is known to be an attack.
async fn workflows(owner: &Owner) {
    step("workflows");
    let workflow = |kind: &str| {
        json!({
            "name": "made", "settings": {}, "connections": {},
            "nodes": [{ "id": "a", "name": "A", "type": kind, "typeVersion": 1,
                        "position": [0, 0], "parameters": {} }],
        })
    };
    let save = async |kind: &str| {
        let request = Request::post("/rest/workflows");
        owner.client.send_json(request, &workflow(kind)).await
    };
    save("n8n-nodes-base.set").await.is(200);
    let refused = save("n8n-nodes-base.function").await.is(403).json();
    let said = refused["message"].as_str().unwrap();
    assert!(said.contains("entries: { CVE-2026-119408: report }"), "{refused}");
}
