//! What is said about a request, and what is not.

use std::time::Duration;

use gateway_testkit::{Gateway, POLICY};
use serde_json::Value;
use tokio::time::sleep;

const STRANGER: &str = "203.0.113.9";

/// The access records, once there are `count` of them.
async fn records(gateway: &Gateway, count: usize) -> Vec<Value> {
    loop {
        let log = gateway.log();
        let records: Vec<_> = log.into_iter().filter(|line| line["event"] == "access").collect();
        if records.len() >= count {
            return records;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_record_a_request_with_what_is_known_of_it() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let passed = client.ask_with("POST /webhook/7f3c", "hello").await;
    let refused = client.ask("GET /rest/settings").await;
    drop(client);
    let records = records(&gateway, 2).await;
    let [first, second] = &records[..] else { panic!("{records:?}") };
    for (field, value) in [
        ("request_id", Value::from(passed.header("x-request-id"))),
        ("client", STRANGER.into()),
        ("surface", "webhook".into()),
        ("method", "POST".into()),
        ("path", "/webhook/*".into()),
        ("http", "1.1".into()),
        ("tls", "1.3".into()),
        ("status", 200.into()),
        ("n8n_status", 200.into()),
        ("revision", 1.into()),
        ("received", 5.into()),
        ("sent", passed.body.len().into()),
    ] {
        assert_eq!(first[field], value, "{field}: {first}");
    }
    assert!(first["duration_ms"].as_f64().unwrap() >= first["n8n_ms"].as_f64().unwrap());
    for (field, value) in [
        ("request_id", Value::from(refused.header("x-request-id"))),
        ("surface", "rest".into()),
        ("status", 404.into()),
        ("reason", "closed".into()),
        ("n8n_status", Value::Null),
    ] {
        assert_eq!(second[field], value, "{field}: {second}");
    }
}

#[tokio::test]
async fn a_record_waits_for_the_end_of_a_stream() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let response = client.send(Gateway::request("GET /webhook/stream", "")).await.unwrap();
    gateway.n8n.drip("12345");
    let mut body = response.into_body();
    http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    assert!(!gateway.log().iter().any(|line| line["event"] == "access"));
    // The client hangs up in the middle.
    drop((body, client));
    let records = records(&gateway, 1).await;
    assert_eq!((&records[0]["status"], &records[0]["sent"]), (&200.into(), &5.into()));
}

#[tokio::test]
async fn no_secret_is_written_down() {
    let gateway = Gateway::start(POLICY).unwrap();
    let secrets = [
        "GET /webhook/S3CRET",
        "GET /webhook-waiting/1?signature=S3CRET",
        "GET /form/S3CRET/x",
        "GET /form-waiting/S3CRET",
        "GET /rest/oauth2-credential/callback?code=S3CRET&state=S3CRET",
        "GET /signup?token=S3CRET",
        "GET /chat?token=S3CRET",
        "GET //S3CRET/S3CRET",
        "GET /webhook/x\nauthorization: Bearer S3CRET\ncookie: n8n-auth=S3CRET",
        "GET /webhook/x\nhost: evil.test",
    ];
    for lines in secrets {
        gateway.ask(STRANGER, lines).await;
    }
    gateway.n8n.set_down(true);
    gateway.ask(STRANGER, "GET /webhook/S3CRET").await;
    let records = records(&gateway, secrets.len() + 1).await;
    assert_eq!(records.len(), secrets.len() + 1);
    let log = gateway.log().iter().map(ToString::to_string).collect::<String>();
    assert!(!log.contains("S3CRET"), "{log}");
    assert!(!gateway.telemetry.exposition().contains("S3CRET"));
}

#[tokio::test]
async fn everything_is_counted_by_bounded_labels() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.ask(STRANGER, "BREW /webhook/x").await;
    gateway.ask(STRANGER, "GET /webhook/x").await;
    gateway.ask(STRANGER, "GET /rest/settings").await;
    gateway.ask(STRANGER, "GET //x").await;
    records(&gateway, 4).await;
    let metrics = gateway.telemetry.exposition();
    for series in [
        "gateway_http_requests_total{code=\"405\",method=\"other\",surface=\"webhook\"} 1",
        "gateway_http_requests_total{code=\"404\",method=\"GET\",surface=\"rest\"} 1",
        "gateway_requests_refused_total{reason=\"closed\",surface=\"rest\"} 1",
        "gateway_requests_refused_total{reason=\"ambiguous_path\",surface=\"none\"} 1",
        "gateway_http_request_duration_seconds_count{surface=\"webhook\"} 2",
        "gateway_upstream_request_duration_seconds_count 1",
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
}
