//! Prometheus reads what the gateway counts.

use std::process::Stdio;

use hyper::Request;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    client::Answer,
    installation::{Gateway, STRANGER, TEAM},
    processes::{free_ports, turn},
};

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_no_fault_with_the_metrics() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let [nobody] = free_ports();
    let gateway = Gateway::start(folder.path(), "n8n.test", nobody).await;
    // Something to count: a refusal, and an n8n that is down.
    gateway.client(STRANGER).send(Request::get("/"), "").await.is(404);
    gateway.client(TEAM).send(Request::get("/"), "").await.is(503);
    let metrics = gateway.operator("/metrics").await.is(200);
    for name in ["gateway_http_requests_total", "gateway_requests_refused_total"] {
        assert!(metrics.text().contains(&format!("\n{name}{{")), "{}", metrics.text());
    }
    check(&metrics).await;
}

/// Asserts that promtool likes what an operator reads.
pub(crate) async fn check(metrics: &Answer) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("promtool: run `cargo xtask test`");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(&metrics.body).await.unwrap();
    drop(input);
    let verdict = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && said.is_empty(), "{}: {said}", verdict.status);
}
