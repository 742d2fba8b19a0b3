//! The sign-in guard: forms as n8n reads them, accounts that nobody can read, devices that are
//! known again.

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use gateway_testkit::{Gateway, POLICY, Response};
use http::StatusCode;
use serde_json::{Value, json};

const TEAM: &str = "192.0.2.1";
const OWNER: &str = "owner@example.com";

fn form(name: &str, password: &str) -> String {
    json!({ "emailOrLdapLoginId": name, "password": password }).to_string()
}

async fn post(gateway: &Gateway, from: &str, fields: &str, body: impl Into<Vec<u8>>) -> Response {
    let mut client = gateway.client(from).await;
    client.ask_with(&format!("POST /rest/login\n{fields}"), body.into()).await
}

async fn sign_in(gateway: &Gateway, from: &str, password: &str) -> Response {
    post(gateway, from, "content-type: application/json", form(OWNER, password)).await
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

#[tokio::test(start_paused = true)]
async fn forms_that_n8n_reads_pass_and_others_never_reach_it() {
    let policy = format!("{POLICY}rate_limits: {{ sign-in: [] }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let json = form(OWNER, "right");
    let urlencoded = "emailOrLdapLoginId=owner%40example.com&password=right";
    let kind = "content-type: application/x-www-form-urlencoded";
    assert_eq!(post(&gateway, TEAM, kind, urlencoded).await.status, StatusCode::OK);
    assert_eq!(post(&gateway, TEAM, "content-type: application/json", &*json).await.status, 200);
    let asked = gateway.n8n.seen().len();
    for fields in [
        "content-type: application/xml",
        "content-type: text/plain",
        "content-type: application/json; charset=utf-16le",
        "content-type: application/json\ncontent-encoding: br",
        "content-type: application/json\ncontent-encoding: identity",
    ] {
        let answer = post(&gateway, TEAM, fields, &*json).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{fields}");
        assert!(answer.body.contains("The form cannot be read."), "{}", answer.body);
    }
    let large = post(&gateway, TEAM, kind, vec![b'a'; 100_000]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(gateway.n8n.seen().len(), asked, "n8n was asked");

    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.as_bytes()).unwrap();
    let fields = "content-type: application/json\ncontent-encoding: gzip\naccept-encoding: br";
    let gzip = gzip.finish().unwrap();
    let length = gzip.len();
    post(&gateway, TEAM, fields, gzip).await;
    let seen = gateway.n8n.seen().pop().unwrap();
    assert_eq!(seen.body, Some(length), "as it was sent");
    assert!(!seen.headers.contains_key("accept-encoding"), "the answer is read on its way");
}

#[tokio::test(start_paused = true)]
async fn a_device_is_known_again_from_wherever_it_comes() {
    let gateway = Gateway::start(POLICY).unwrap();
    let answer = sign_in(&gateway, TEAM, "right").await;
    assert_eq!(answer.status, StatusCode::OK);
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2, "n8n's and the gateway's");
    let device = cookies.last().unwrap().to_str().unwrap();
    for part in
        ["__Host-gateway-device=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"]
    {
        assert!(device.contains(part), "{device}");
    }
    let device = device.split(';').next().unwrap().to_owned();
    // Strangers have two tries a minute at an account; the device has as many as it likes.
    let cookie = format!("content-type: application/json\ncookie: a=1; {device}");
    for _ in 0..5 {
        let known = post(&gateway, "192.0.2.77", &cookie, form(OWNER, "wrong")).await;
        assert_eq!(known.status, StatusCode::UNAUTHORIZED);
    }
    assert!(gateway.n8n.seen().iter().all(|it| {
        let cookie = it.headers.get("cookie").map(|it| it.to_str().unwrap());
        cookie.is_none_or(|cookie| cookie == "a=1")
    }));
    // For another account it is a stranger's.
    for expected in [401, 401, 429] {
        let other = post(&gateway, "192.0.2.78", &cookie, form("other@example.com", "wrong")).await;
        assert_eq!(other.status, expected);
    }
    let forged = cookie.replace("device=1", "device=2");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(
            post(&gateway, "192.0.2.79", &forged, form(OWNER, "wrong")).await.status.as_u16(),
        );
    }
    // The first sign-in was a stranger's, too.
    assert_eq!(seen, [401, 429, 429]);
}

#[tokio::test(start_paused = true)]
async fn what_n8n_made_of_it_is_told_and_never_the_account() {
    let gateway = Gateway::start(POLICY).unwrap();
    sign_in(&gateway, TEAM, "wrong").await;
    sign_in(&gateway, TEAM, "right").await;
    // On each page load of a visitor.
    for _ in 0..20 {
        let visited = gateway.ask("192.0.2.5", "GET /rest/login").await;
        assert_eq!(visited.status, StatusCode::UNAUTHORIZED);
    }
    let failed = events(&gateway, "sign_in_failed");
    assert_eq!(failed.len(), 1);
    let (failed, succeeded) = (&failed[0], &events(&gateway, "sign_in_succeeded")[0]);
    assert_eq!((&failed["client"], &failed["because"]), (&json!(TEAM), &json!("wrong_password")));
    assert_eq!(failed["account"], succeeded["account"]);
    assert_eq!(failed["account"].as_str().unwrap().len(), 16);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_sign_ins_total{outcome=\"succeeded\"} 1\n"));
    assert!(metrics.contains("gateway_sign_ins_total{outcome=\"failed\"} 1\n"));

    gateway.guard().settled().await;
    let mut kept = serde_json::to_vec(&gateway.log()).unwrap();
    kept.extend(metrics.into_bytes());
    for file in fs::read_dir(gateway.folder().join("state")).unwrap() {
        kept.extend(fs::read(file.unwrap().path()).unwrap());
    }
    let has = |text: &str| kept.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has("sign-in") && has(TEAM), "there is something to look at");
    assert!(!has("owner@") && !has("example.com"), "an account in clear");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_known_to_somebody_else_is_told() {
    let policy = format!("{POLICY}rate_limits: {{ sign-in: [] }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let kind = "content-type: application/json";
    for (at, from) in ["192.0.2.1", "192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
        assert!(events(&gateway, "password_leaked").is_empty(), "{at}");
        let answer = post(&gateway, from, kind, form("mfa@example.com", "right")).await;
        assert!(answer.body.contains("998"), "{}", answer.body);
    }
    let leaked = events(&gateway, "password_leaked");
    assert_eq!((leaked.len(), &leaked[0]["count"]), (1, &json!(3)));
    assert!(gateway.telemetry.exposition().contains("outcome=\"second_factor_missing\"} 3\n"));
    // Its owner comes, and counting begins anew.
    let whole = json!({ "emailOrLdapLoginId": "mfa@example.com", "password": "right", "mfaCode": "123456" });
    assert_eq!(post(&gateway, "192.0.2.9", kind, whole.to_string()).await.status, 200);
    for _ in 0..2 {
        post(&gateway, "192.0.2.1", kind, form("mfa@example.com", "right")).await;
    }
    assert_eq!(events(&gateway, "password_leaked").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_and_forgotten_passwords_are_guarded_too() {
    let gateway = Gateway::start(POLICY).unwrap();
    for n in 0..5 {
        let path = format!("GET /rest/resolve-password-token?token=guess{n}xxxxxxx");
        assert_eq!(gateway.ask("192.0.2.66", &path).await.status, StatusCode::NOT_FOUND);
    }
    let banned = events(&gateway, "banned");
    assert_eq!((banned.len(), &banned[0]["jail"]), (1, &json!("sign-in")));

    let forgot = |from: &'static str, email: &'static str| {
        let gateway = &gateway;
        async move {
            let mut client = gateway.client(from).await;
            let lines = "POST /rest/forgot-password\ncontent-type: application/json";
            client.ask_with(lines, json!({ "email": email }).to_string()).await.status.as_u16()
        }
    };
    assert_eq!(forgot("192.0.2.1", "owner@example.com").await, 200);
    assert_eq!(forgot("192.0.2.2", "OWNER@example.com").await, 429, "one account, one budget");
    assert_eq!(forgot("192.0.2.2", "other@example.com").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_stolen_device_is_no_free_pass() {
    let gateway = Gateway::start(POLICY).unwrap();
    let answer = sign_in(&gateway, TEAM, "right").await;
    let device = answer.headers.get_all("set-cookie").iter().next_back().unwrap();
    let device = device.to_str().unwrap().split(';').next().unwrap().to_owned();
    let cookie = format!("content-type: application/json\ncookie: {device}");
    let mut passed = 0;
    for n in 10..60 {
        let from = format!("192.0.2.{n}");
        let status = post(&gateway, &from, &cookie, form(OWNER, "wrong")).await.status;
        passed += usize::from(status == StatusCode::UNAUTHORIZED);
    }
    assert_eq!(passed, 20, "ten times as much as strangers");
    // Spelled otherwise it is the same device, or none.
    let (name, tag) = cookie.rsplit_once('.').unwrap();
    let respelled = format!("{name}.{}", tag.to_uppercase());
    let mut passed = 0;
    for _ in 0..5 {
        let status = post(&gateway, "192.0.2.70", &respelled, form(OWNER, "wrong")).await.status;
        passed += usize::from(status == StatusCode::UNAUTHORIZED);
    }
    assert_eq!(passed, 1, "what a stranger has left");
    // Who is known by the network is not known better by rubbish.
    let mut passed = 0;
    for n in 0..50 {
        let junk =
            format!("content-type: application/json\ncookie: __Host-gateway-device={n}.{n}.{n}");
        let status = post(&gateway, TEAM, &junk, form(OWNER, "wrong")).await.status;
        passed += usize::from(status == StatusCode::UNAUTHORIZED);
    }
    assert!(passed <= 20, "{passed}");
}

/// Behind some container networks everybody comes from the machine's own address.
#[tokio::test(start_paused = true)]
async fn where_everybody_has_one_address_nobody_is_known_by_it() {
    let policy = POLICY.replace("[192.0.2.0/24]", "[127.0.0.1]");
    let gateway = Gateway::start(&policy).unwrap();
    assert_eq!(sign_in(&gateway, "127.0.0.1", "right").await.status, StatusCode::OK);
    gateway.ask("127.0.0.1", "GET /rest/login\ncookie: n8n-auth=good").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(sign_in(&gateway, "127.0.0.1", "wrong").await.status.as_u16());
    }
    assert_eq!(seen, [401, 429, 429]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_guessed_with_head_no_more_than_with_get() {
    let gateway = Gateway::start(POLICY).unwrap();
    for n in 0..5 {
        let path = format!("HEAD /rest/resolve-password-token?token=guess{n}xxxxxxx");
        assert_eq!(gateway.ask("192.0.2.66", &path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(events(&gateway, "banned").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_claims_a_new_n8n_is_known_from_then_on() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(TEAM).await;
    let setup = json!({ "email": OWNER, "password": "right" }).to_string();
    let lines = "POST /rest/owner/setup\ncontent-type: application/json";
    assert_eq!(client.ask_with(lines, setup).await.status, StatusCode::OK);
    for _ in 0..4 {
        assert_eq!(sign_in(&gateway, TEAM, "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
}
