//! Too much at once: who waits, who is told what, and who gets in all the same.

use std::time::Duration;

use gateway_policy::Pressure;
use gateway_testkit::{Client, Gateway, POLICY};
use http::StatusCode;
use tokio::{io::AsyncReadExt, task::JoinHandle, time::sleep};
use tokio_util::task::TaskTracker;

const STRANGER: &str = "203.0.113.1";
const OTHER: &str = "203.0.113.2";
const SENDER: &str = "203.0.113.3";
const TEAM: &str = "192.0.2.1";

fn policy(limits: &str) -> String {
    format!("{POLICY}limits: {{ {limits} }}\nbans: {{ never: [team] }}\n")
}

/// Sends requests from `from` that n8n does not answer.
async fn hold(gateway: &Gateway, from: &str, many: usize) -> Vec<JoinHandle<StatusCode>> {
    let (tasks, mut held) = (TaskTracker::new(), Vec::new());
    for _ in 0..many {
        let mut client: Client = gateway.client(from).await;
        held.push(tasks.spawn(async move { client.ask("GET /webhook/hang").await.status }));
    }
    sleep(Duration::from_millis(200)).await;
    held
}

#[tokio::test(start_paused = true)]
async fn a_client_has_so_many_requests_at_once() {
    let gateway = Gateway::start(&policy("requests: { per_client: 3 }")).unwrap();
    let held = hold(&gateway, STRANGER, 3).await;
    let refused = gateway.ask(STRANGER, "GET /webhook/x").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(gateway.ask(OTHER, "GET /webhook/x").await.status, StatusCode::OK);
    // What is given up makes room.
    held.iter().for_each(JoinHandle::abort);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/x").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn strangers_are_the_first_to_wait() {
    let gateway = Gateway::start(&policy("requests: { total: 10 }")).unwrap();
    let _held = hold(&gateway, STRANGER, 8).await;
    let refused = gateway.ask(OTHER, "GET /webhook/x").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "5");
    assert!(gateway.telemetry.exposition().contains("reason=\"overloaded\""));
    assert_eq!(gateway.ask(TEAM, "GET /webhook/x").await.status, StatusCode::OK);
    let _own = hold(&gateway, TEAM, 2).await;
    let full = gateway.ask(TEAM, "GET /webhook/x").await;
    assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE, "there is no room at all");
}

#[tokio::test(start_paused = true)]
async fn the_last_connections_are_kept_for_whoever_is_known() {
    let gateway = Gateway::start(&policy("connections: { total: 10 }")).unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(gateway.secure(gateway.dial(STRANGER), "n8n.test", "h2").await.unwrap());
    }
    assert!(gateway.secure(gateway.dial(OTHER), "n8n.test", "h2").await.is_err());
    assert_eq!(gateway.ask(TEAM, "GET /webhook/x").await.status, StatusCode::OK);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"total\"} 1\n"));
    drop(held);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(gateway.ask(OTHER, "GET /webhook/x").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_do_not_end_are_bounded_and_connections_that_come_too_often() {
    let limits = "connections: { handshakes: 10, rate_per_client: 20/min }";
    let gateway = Gateway::start(&policy(limits)).unwrap();
    let mut silent: Vec<_> = (0..12).map(|_| gateway.dial(STRANGER)).collect();
    sleep(Duration::from_millis(200)).await;
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"handshakes\"} 4\n"));
    assert_eq!(gateway.ask(TEAM, "GET /webhook/x").await.status, StatusCode::OK);
    sleep(Duration::from_secs(11)).await;
    let mut byte = [0; 1];
    for io in &mut silent {
        assert_eq!(io.read(&mut byte).await.unwrap(), 0, "nobody waits for ever");
    }
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/x").await.status, StatusCode::OK);
    // Forty at once, and one more every three seconds.
    let many: Vec<_> = (0..40).map(|_| gateway.dial(STRANGER)).collect();
    sleep(Duration::from_millis(200)).await;
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"rate\"}"), "{metrics}");
    drop(many);
    assert_eq!(gateway.ask(OTHER, "GET /webhook/x").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn without_memory_strangers_go_and_whoever_is_known_stays() {
    let gateway = Gateway::start(&policy("timeouts: { idle: 1h }")).unwrap();
    let mut stranger = gateway.client(STRANGER).await;
    let mut team = gateway.client(TEAM).await;
    let mut sender = gateway.client(SENDER).await;
    assert_eq!(stranger.ask("GET /webhook/x").await.status, StatusCode::OK);
    assert_eq!(sender.ask("POST /webhook/x").await.status, StatusCode::OK);
    gateway.guard().presses(Pressure::High);
    let refused = stranger.ask("GET /webhook/x").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let sent = sender.ask("POST /webhook/x").await;
    assert_eq!(sent.status, StatusCode::OK, "its webhooks are taken");
    let refused = gateway.secure(gateway.dial(OTHER), "n8n.test", "h2").await;
    assert!(refused.is_err(), "nobody knows it");
    assert_eq!(team.ask("GET /webhook/x").await.status, StatusCode::OK);
    gateway.guard().presses(Pressure::Critical);
    sleep(Duration::from_millis(200)).await;
    assert!(stranger.send(Gateway::request("GET /webhook/x", "")).await.is_err(), "it is gone");
    let late = sender.ask("POST /webhook/x").await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE, "its connection is not cut off");
    assert_eq!(team.ask("GET /webhook/x").await.status, StatusCode::OK);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_connections_cut_total{reason=\"memory\"} 1\n"), "{metrics}");
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"memory\"} 1\n"));
    gateway.guard().presses(Pressure::Low);
    assert_eq!(gateway.ask(OTHER, "GET /webhook/x").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_only_tells_of_too_much_at_once() {
    let policy = policy("requests: { per_client: 3 }") + "mode: dry-run\n";
    let gateway = Gateway::start(&policy).unwrap();
    let _held = hold(&gateway, STRANGER, 3).await;
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/x").await.status, StatusCode::OK);
    let told = gateway.log().iter().any(|it| it["event"] == "would_refuse");
    assert!(told, "{:#?}", gateway.log());
}
