//! n8n crashes and comes back; and what the log says of all that has happened.

use hyper::Request;
use serde_json::{Value, json};

use crate::{
    client::Client,
    installation::{Gateway, Installation},
    processes::{eventually, step},
    triggers::ECHO,
};

/// While n8n is down everybody gets an answer; when it is back nobody has to restart the gateway.
pub(crate) async fn crash_and_recovery(installation: &mut Installation) {
    step("n8n is down");
    installation.n8n.kill().await;
    assert_unavailable(&installation.stranger).await;
    installation.gateway.until_ready_is(503).await;
    assert_unavailable(&installation.stranger).await;

    step("n8n is back");
    installation.n8n.start_again();
    installation.until_n8n_answers().await;
    let stranger = &installation.stranger;
    let order = json!({"order": 8});
    let heard = eventually("the webhook is back", async || {
        let answer = stranger.send_json(Request::post(ECHO), &order).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(heard["body"], order, "{heard}");
}

/// JSON for a program, a page for a person.
async fn assert_unavailable(client: &Client) {
    let json = client.send(Request::get(ECHO), "").await.is(503).tells_nothing_of_n8n();
    assert!(json.header("content-type").starts_with("application/json"), "{json:?}");
    assert_eq!(json.json()["requestId"], json.header("x-request-id"), "{json:?}");
    assert!(!json.header("x-request-id").is_empty(), "{json:?}");

    let page = Request::get(ECHO).header("accept", "text/html,*/*;q=0.8");
    let page = client.send(page, "").await.is(503).tells_nothing_of_n8n();
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.text().contains(page.header("x-request-id")), "{page:?}");
}

/// Every request has its record, and none of them tells a secret.
pub(crate) async fn the_log_keeps_secrets(gateway: &Gateway, secrets: &[String]) {
    step("the log");
    let surfaces = [
        "editor",
        "rest",
        "sign-in",
        "push",
        "oauth-callback",
        "webhook",
        "webhook-waiting",
        "form",
        "form-waiting",
        "mcp",
    ];
    let said = eventually("the access records", async || {
        let said = gateway.said();
        let records: Vec<Value> =
            said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let known = |surface: &&str| records.iter().any(|it| it["surface"] == **surface);
        surfaces.iter().all(known).then_some(said)
    })
    .await;
    for line in said.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "not JSON: {line}");
        for secret in secrets {
            assert!(!line.contains(secret.as_str()), "{secret} in {line}");
        }
    }
}
