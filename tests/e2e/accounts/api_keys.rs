//! What is asked of API keys: from where they are used, for what, how often.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_certs::{Clock, SystemClock};
use gateway_n8n::{KEY_FORBIDDEN, KEY_UNAUTHORIZED};
use gateway_policy::Fingerprint;
use gateway_testkit::{Gateway, POLICY};
use n8n_gateway::Guard;
use serde_json::{Value, json};
use tokio::time::advance;

const TEAM: &str = "192.0.2.1";
/// The same network, and another.
const NEAR: &str = "192.0.2.200";
const FAR: &str = "198.51.100.7";

/// Where keys are in use.
const LIST: &str = "GET /api/v1/workflows";

fn start(api_keys: &str, rest: &str) -> Gateway {
    let wide = POLICY.replace(
        "team: [192.0.2.0/24]",
        "team: [192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24], office: [192.0.2.0/24]",
    );
    Gateway::start(&format!("{wide}accounts: {{ api_keys: {api_keys} }}\n{rest}")).unwrap()
}

fn fingerprint(key: &str) -> Fingerprint {
    Guard::fingerprint(key.as_bytes())
}

/// A key as n8n makes them, of a user of this id.
fn of_user(user: &str) -> String {
    let claims = json!({ "sub": user, "iss": "n8n", "aud": "public-api" }).to_string();
    format!("good-{}.{}.c2ln", user, BASE64_URL_SAFE_NO_PAD.encode(claims))
}

/// What somebody at `from` with `key` is answered, and what it says.
async fn asks(gateway: &Gateway, from: &str, line: &str, key: &str) -> (u16, String) {
    let answer = gateway.ask(from, &format!("{line}\nx-n8n-api-key: {key}")).await;
    (answer.status.as_u16(), answer.body)
}

async fn status(gateway: &Gateway, from: &str, line: &str, key: &str) -> u16 {
    asks(gateway, from, line, key).await.0
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_may_do_what_the_policy_says_and_is_refused_as_n8n_would() {
    let own = fingerprint("good-own");
    let gateway = start(
        &format!(
            "{{ networks: office, resources: [workflows], keys: {{ \"{own}\": \
             {{ networks: team, read_only: true }}, \"user:u1\": {{ read_only: true }} }} }}"
        ),
        "",
    );
    let (unauthorized, forbidden) =
        ((401, KEY_UNAUTHORIZED.to_owned()), (403, KEY_FORBIDDEN.to_owned()));
    let user = of_user("u1");
    let seen = gateway.n8n.seen().len();
    for (from, line, key, expected) in [
        (FAR, LIST, "good", &unauthorized),
        (FAR, LIST, "made-up", &unauthorized),
        (TEAM, "GET /api/v1/credentials", "good", &forbidden),
        (TEAM, "POST /api/v1/workflows", "good-own", &forbidden),
        (TEAM, "POST /api/v1/workflows", user.as_str(), &forbidden),
        (TEAM, "DELETE /api/v1/workflows/1", user.as_str(), &forbidden),
    ] {
        assert_eq!(&asks(&gateway, from, line, key).await, expected, "{from} {line} {key}");
    }
    assert_eq!(gateway.n8n.seen().len(), seen, "n8n was asked");
    for (from, line, key) in [
        (TEAM, LIST, "good"),
        (TEAM, "POST /api/v1/workflows", "good"),
        (FAR, LIST, "good-own"),
        (TEAM, LIST, user.as_str()),
    ] {
        assert_eq!(status(&gateway, from, line, key).await, 200, "{from} {line} {key}");
    }
    let stolen = format!("{LIST}\nauthorization: Bearer {user}\nx-n8n-api-key: good");
    assert_eq!(gateway.ask(FAR, &stolen).await.status, 401, "each of them is looked at");
    let log = gateway.log().iter().map(Value::to_string).collect::<String>();
    assert!(!log.contains("good") && !log.contains("made-up"), "a key is in the log");
    let metric =
        "gateway_requests_refused_total{reason=\"api_key_scope\",surface=\"public-api\"} 4";
    assert!(gateway.telemetry.exposition().contains(metric));
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_new_network_is_told_or_refused() {
    let gateway = start("{}", "");
    for from in [TEAM, NEAR, FAR, FAR, TEAM] {
        assert_eq!(status(&gateway, from, LIST, &of_user("u1")).await, 200);
    }
    let moves = events(&gateway, "api_key_new_network");
    assert_eq!(moves.len(), 1, "each network once: {moves:?}");
    let moved = moves.first().unwrap();
    assert_eq!((&moved["from"], &moved["to"]), (&json!("192.0.2.0/24"), &json!("198.51.100.0/24")));
    assert_eq!(moved["key"], json!(fingerprint(&of_user("u1")).to_string()));
    assert_eq!((&moved["user"], &moved["refused"]), (&json!("u1"), &json!(false)));

    let gateway = start("{ new_network: refuse }", "");
    assert_eq!(status(&gateway, FAR, LIST, "wrong").await, 401, "n8n says so");
    assert_eq!(status(&gateway, TEAM, LIST, "good").await, 200);
    let refused = (401, KEY_UNAUTHORIZED.to_owned());
    for line in [LIST, "GET /api/v1/docs", LIST] {
        assert_eq!(asks(&gateway, FAR, line, "good").await, refused, "{line}");
    }
    assert_eq!(status(&gateway, NEAR, LIST, "good").await, 200);
    let moves = events(&gateway, "api_key_new_network");
    assert!(moves.len() == 3 && moves.iter().all(|it| it["refused"] == true), "{moves:?}");
    assert!(gateway.guard().forget_api_key(fingerprint("good"), "me", "moved"));
    assert_eq!(status(&gateway, FAR, LIST, "good").await, 200);
    let metric = "gateway_api_key_moves_total{outcome=\"refused\"} 3";
    assert!(gateway.telemetry.exposition().contains(metric));

    let gateway = start("{ new_network: refuse, read_only: true }", "mode: dry-run\n");
    for (from, line) in [(TEAM, LIST), (FAR, LIST), (FAR, "POST /api/v1/workflows")] {
        assert_eq!(status(&gateway, from, line, "good").await, 200, "{from} {line}");
    }
    let would: Vec<_> = events(&gateway, "would_refuse");
    let reasons: Vec<_> = would.iter().map(|it| it["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["api_key_elsewhere", "api_key_scope"]);
}

#[tokio::test(start_paused = true)]
async fn only_keys_that_n8n_took_are_remembered() {
    let gateway = start("{}", "");
    for (line, key) in [
        (LIST, "made-up"),
        ("GET /api/v1/docs", "good-docs"),
        ("OPTIONS /api/v1/workflows", "good-options"),
        ("GET /api/v1/nothing", "good-nothing"),
        ("GET /rest/workflows", "good-elsewhere"),
    ] {
        status(&gateway, TEAM, line, key).await;
    }
    assert!(gateway.guard().api_keys().is_empty(), "{:?}", gateway.guard().api_keys());
    for _ in 0..3 {
        status(&gateway, TEAM, LIST, "good").await;
    }
    let known = gateway.guard().api_keys();
    assert_eq!(known.len(), 1);
    let (key, it) = known.first().unwrap();
    assert_eq!((*key, it.calls), (fingerprint("good"), 3));
    assert!(it.first.0 <= SystemClock.now());
    let nobody = Gateway::start(POLICY).unwrap();
    status(&nobody, TEAM, LIST, "good").await;
    assert!(nobody.guard().api_keys().is_empty(), "nobody asks about keys");
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_rate_of_its_own() {
    let gateway = start("{ rate: 2/min }", "");
    for (from, key, expected) in [
        (TEAM, "good", 200),
        (FAR, "good", 200),
        (TEAM, "good", 429),
        (FAR, "good", 429),
        (TEAM, "good-other", 200),
    ] {
        assert_eq!(status(&gateway, from, LIST, key).await, expected, "{from} {key}");
    }
    let limited = gateway.ask(TEAM, &format!("{LIST}\nx-n8n-api-key: good")).await;
    assert!(!limited.header("retry-after").is_empty());
    assert_eq!(limited.header("ratelimit-policy"), "\"api-keys per key\";q=2;w=60");
    advance(Duration::from_secs(31)).await;
    assert_eq!(status(&gateway, TEAM, LIST, "good").await, 200);
}
