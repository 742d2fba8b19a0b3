//! Rate limits: who shares a budget, what the refused are told, what a reload keeps.

use std::time::Duration;

use gateway_testkit::{Gateway, POLICY};
use http::StatusCode;
use tokio::time::advance;

const STRANGER: &str = "203.0.113.1";
const OTHER: &str = "203.0.113.2";
const TEAM: &str = "192.0.2.1";

fn policy(limits: &str) -> String {
    format!("{POLICY}rate_limits:\n{limits}")
}

/// How many of `times` requests pass.
async fn passing(gateway: &Gateway, from: &str, line: &str, times: usize) -> usize {
    let mut client = gateway.client(from).await;
    let mut passed = 0;
    for _ in 0..times {
        passed += usize::from(client.ask(line).await.status != StatusCode::TOO_MANY_REQUESTS);
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn the_refused_are_told_when_to_come_again() {
    let gateway = Gateway::start(&policy("  webhook: { rate: 2/min }\n")).unwrap();
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/x", 2).await, 2);
    let answer = gateway.ask(STRANGER, "GET /webhook/x").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let again: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=40).contains(&again), "{again}");
    assert_eq!(answer.header("ratelimit"), format!("\"webhook per client\";r=0;t={again}"));
    assert_eq!(answer.header("ratelimit-policy"), "\"webhook per client\";q=2;w=60");
    assert!(answer.body.starts_with("{\"code\":429,\"message\":\"Too many requests."));
    advance(Duration::from_secs(again)).await;
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/x").await.status, StatusCode::OK);
    let metrics = gateway.telemetry.exposition();
    let told = |outcome: &str, count: u32| {
        let name = "gateway_rate_limit_requests_total";
        format!("{name}{{outcome=\"{outcome}\",rule=\"webhook per client\"}} {count}\n")
    };
    assert!(metrics.contains(&told("allowed", 3)) && metrics.contains(&told("refused", 1)));
}

#[tokio::test(start_paused = true)]
async fn budgets_are_shared_by_whom_the_policy_says() {
    let limits = "  webhook: { per: path, rate: 2/h }\n  form: { per: all, rate: 2/h }\n  \
                  webhook/own: [{ rate: 3/h }, { per: path, rate: off }]\n  \
                  webhook/both: [{ rate: 9/h }, { per: all, rate: 1/h }]\n";
    let gateway = Gateway::start(&policy(limits)).unwrap();
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/a", 2).await, 2);
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/a", 2).await, 0, "the path's budget");
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/%61/", 2).await, 0, "however it is spelled");
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/A", 1).await, 1, "another webhook's");
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/b", 2).await, 2);
    assert_eq!(passing(&gateway, STRANGER, "GET /form/a", 2).await, 2);
    assert_eq!(passing(&gateway, OTHER, "GET /form/b", 2).await, 0, "everybody's budget");
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/own", 9).await, 3);
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/own", 9).await, 3);
    assert_eq!(passing(&gateway, OTHER, "GET /webhook/both", 9).await, 1, "each limit holds");
}

/// The design's own example: what is written for one `per` leaves the others as they are.
#[tokio::test(start_paused = true)]
async fn what_is_written_replaces_its_own_per_alone() {
    let limits = "  sign-in: { per: client, rate: 10/min, burst: 5 }\n";
    let gateway = Gateway::start(&policy(limits)).unwrap();
    let names: Vec<String> = gateway
        .rules()
        .policy
        .limits
        .of(gateway_n8n::Surface::SignIn)
        .root()
        .value
        .iter()
        .map(|it| format!("{} {}", it.name, it.quota))
        .collect();
    assert_eq!(
        names,
        [
            "sign-in per account 1/min, burst 2",
            "sign-in per all 30/min, burst 60",
            "sign-in per client 10/min, burst 5",
        ]
    );
    let off = "  sign-in: [{ per: all, rate: off }, { per: client, rate: off }]\n";
    let gateway = Gateway::start(&policy(off)).unwrap();
    let rules = gateway.rules();
    let left = &rules.policy.limits.of(gateway_n8n::Surface::SignIn).root().value;
    assert_eq!(left.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["sign-in per account"]);
}

#[tokio::test(start_paused = true)]
async fn a_webhooks_path_is_no_label() {
    let gateway = Gateway::start(&policy("  webhook/s3cret: { rate: 1/h }\n")).unwrap();
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/s3cret", 2).await, 1);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("rule=\"webhook at 8:3 per client\"") && !metrics.contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_household_shares_a_budget() {
    let gateway = Gateway::start(&policy("  webhook: { rate: 2/h }\n")).unwrap();
    assert_eq!(passing(&gateway, "2001:db8::1", "GET /webhook/a", 1).await, 1);
    assert_eq!(passing(&gateway, "2001:db8::2", "GET /webhook/a", 2).await, 1);
    assert_eq!(passing(&gateway, "2001:db8:0:1::1", "GET /webhook/a", 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_budgets_unless_their_own_line_changed() {
    let limits =
        |webhook: &str| format!("  webhook: {{ rate: {webhook} }}\n  form: {{ rate: 1/h }}\n");
    let mut gateway = Gateway::start(&policy(&limits("1/h"))).unwrap();
    for path in ["GET /webhook/a", "GET /form/a"] {
        assert_eq!(passing(&gateway, STRANGER, path, 2).await, 1);
    }
    gateway.reload(&policy(&limits("2/h")));
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/a", 3).await, 2, "its line changed");
    assert_eq!(passing(&gateway, STRANGER, "GET /form/a", 2).await, 0, "its line did not");
    gateway.reload(&policy("  webhook: []\n"));
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/a", 300).await, 300, "switched off");
    assert!(!gateway.telemetry.exposition().contains("rule=\"webhook per client\""));
}

#[tokio::test(start_paused = true)]
async fn somebody_at_work_has_the_wider_budget() {
    let gateway = Gateway::start(&policy("  rest: { rate: 5/h }\n")).unwrap();
    assert_eq!(passing(&gateway, TEAM, "GET /rest/workflows", 20).await, 5);
    let session = "GET /rest/login\ncookie: n8n-auth=good";
    assert_eq!(gateway.ask(TEAM, session).await.status, StatusCode::OK);
    assert_eq!(passing(&gateway, TEAM, "GET /rest/workflows", 60).await, 50);
    let bad = "GET /rest/login\ncookie: n8n-auth=bad";
    assert_eq!(gateway.ask("192.0.2.9", bad).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(passing(&gateway, "192.0.2.9", "GET /rest/workflows", 20).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_lets_pass_and_tells() {
    let gateway = Gateway::start(&policy("  webhook: { rate: 1/h, dry_run: true }\n")).unwrap();
    assert_eq!(passing(&gateway, STRANGER, "GET /webhook/a", 5).await, 5);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("outcome=\"would_refuse\",rule=\"webhook per client\"} 4\n"));
    let reason =
        "gateway_requests_would_refuse_total{reason=\"rate_limited\",surface=\"webhook\"} 4";
    assert!(metrics.contains(reason), "{metrics}");
    let log = gateway.log();
    let told = log.iter().filter(|it| it["event"] == "would_refuse");
    assert_eq!(told.count(), 4);
}
