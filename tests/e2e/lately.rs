//! What happened lately, as an operator is shown it: refusals, those of a dry run, and sign-ins.

use gateway_telemetry::{Refusal, SignIn};
use gateway_testkit::{Gateway, POLICY};
use serde_json::json;

const STRANGER: &str = "203.0.113.7";
const TEAM: &str = "192.0.2.1";

fn refusals(gateway: &Gateway) -> Vec<Refusal> {
    gateway.telemetry.recent.refusals.after(0).0.into_iter().map(|(_, it)| it).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_with_its_line_and_without_secrets() {
    let gateway = Gateway::start(POLICY).unwrap();
    assert_eq!(gateway.ask(TEAM, "GET /rest/settings").await.status, 200);
    let refused = gateway.ask(STRANGER, "GET /rest/settings?token=abcdefgh").await;
    assert_eq!(refused.status, 404);
    let all = refusals(&gateway);
    assert_eq!(all.len(), 1, "{all:?}");
    let it = &all[0];
    let id = refused.headers["x-request-id"].to_str().unwrap();
    assert_eq!(format!("{:016x}", it.request), id);
    assert_eq!(
        (it.client.to_string().as_str(), it.status, it.surface),
        (STRANGER, 404, Some("rest"))
    );
    assert!(it.why.rule.as_deref().is_some_and(|it| it.contains("line")), "{it:?}");
    assert!(!it.why.dry_run && !it.path.contains("abcdefgh"), "{it:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_what_it_lets_pass() {
    let gateway = Gateway::start(&format!("{POLICY}mode: dry-run\n")).unwrap();
    assert_eq!(gateway.ask(STRANGER, "GET /rest/settings").await.status, 200);
    let all = refusals(&gateway);
    assert_eq!(all.len(), 1, "{all:?}");
    let it = &all[0];
    assert!(it.why.dry_run && it.why.reason == "closed" && it.status == 200, "{it:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_keeps_no_more_than_the_last() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(TEAM).await;
    for _ in 0..600 {
        assert_eq!(client.ask("GET /metrics").await.status, 404);
    }
    let (kept, last) = gateway.telemetry.recent.refusals.after(0);
    assert_eq!((kept.len(), last, kept[0].0, kept[511].0), (512, 600, 600, 89));
}

#[tokio::test(start_paused = true)]
async fn sign_ins_are_told_good_and_failed() {
    let gateway = Gateway::start(POLICY).unwrap();
    for password in ["wrong", "right"] {
        let form = json!({ "emailOrLdapLoginId": "owner@example.com", "password": password });
        let mut client = gateway.client(TEAM).await;
        let head = "POST /rest/login\ncontent-type: application/json";
        client.ask_with(head, form.to_string().into_bytes()).await;
    }
    let all = gateway.telemetry.recent.sign_ins.after(0).0;
    let told: Vec<(Option<&str>, bool)> = all
        .iter()
        .map(|(_, SignIn { failure, known, .. })| (failure.as_ref().map(|it| it.because), *known))
        .collect();
    assert_eq!(told, [(None, false), (Some("wrong_password"), false)]);
    let (good, bad) = (&all[0].1, &all[1].1);
    assert!(good.account.is_some() && good.account == bad.account);
    assert!(!format!("{all:?}").contains("owner@"), "an account is a keyed hash");
    assert_eq!(bad.failure.as_ref().unwrap().attempt, "sign_in");
}
