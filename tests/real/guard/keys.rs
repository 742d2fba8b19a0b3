//! API keys: guessed, and outdated in some forgotten job.

use gateway_certs::{Clock, SystemClock};
use hyper::{Request, http::request::Builder};
use serde_json::json;

use super::{HOST, OPEN, client};
use crate::{installation::Installation, owner::Owner, processes::step};

pub(super) async fn guessed_and_outdated(installation: &Installation, owner: &Owner) {
    let gateway = installation.gateway_with("keys", HOST, OPEN).await;
    let key = made(owner).await;

    step("API keys are guessed");
    let guesser = client(&gateway, 2);
    for n in 0..10 {
        assert!(gateway.events("banned").is_empty(), "{n}");
        guesser.send(with_key(&format!("guess-{n}")), "").await.is(401);
    }
    let banned = gateway.event("banned", |_| true).await;
    assert_eq!((&banned["jail"], &banned["net"]), (&json!("api-key"), &json!("127.0.0.2/32")));
    assert!(guesser.is_dropped().await);

    step("a job whose key has expired");
    let job = client(&gateway, 3);
    for _ in 0..50 {
        job.send(with_key("expired"), "").await.is(401);
    }
    let (banned, why) = gateway.bans(&["why", "127.0.0.3"]).await;
    let held = why["held"].as_array().unwrap();
    assert!(!banned && held.len() == 1 && held[0]["offence"] == "wrong_key", "{why}");

    step("a key that is good");
    let workflows = job.send(with_key(&key), "").await.is(200).json();
    assert!(workflows["data"].is_array(), "{workflows}");
    assert_eq!(gateway.events("banned").len(), 1);
    gateway.kill().await;
}

fn with_key(key: &str) -> Builder {
    Request::get("/api/v1/workflows").header("x-n8n-api-key", key)
}

/// A key of the owner's, good for a day.
async fn made(owner: &Owner) -> String {
    let until = SystemClock.now() + 24 * 3600;
    let wanted = json!({"label": "test", "expiresAt": until, "scopes": ["workflow:list"]});
    let made = owner.client.send_json(Request::post("/rest/api-keys"), &wanted).await;
    made.is(200).json()["data"]["rawApiKey"].as_str().unwrap().to_owned()
}
