//! An OpenTelemetry collector gets each line of the log, is away for a while, and gets what came
//! meanwhile. What it gets is read by OpenTelemetry's own messages for Python.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use hyper::Request;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::{process::Command, time::Instant};
use tokio_rustls::TlsAcceptor;

use super::{Seen, Server, run};
use crate::{
    installation::{Gateway, STRANGER, program},
    processes::{eventually, free_ports, given, step, turn},
};

const HOST: &str = "n8n.test";

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_in_clear_gets_each_line_of_the_log() {
    let _turn = turn().await;
    every_line_arrives(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_over_tls_gets_each_line_of_the_log() {
    let _turn = turn().await;
    every_line_arrives(true).await;
}

async fn every_line_arrives(secure: bool) {
    let folder = tempfile::tempdir().unwrap();
    let tls = secure.then(|| certified(folder.path()));
    let collector = Server::start(0, tls.clone(), |_| 200).await;
    let port = collector.port;
    let gateway = start(folder.path(), port, secure).await;

    step("the collector is there");
    ask(&gateway, 0..30).await;
    until_sent(&gateway, 30).await;
    let before = collector.seen();
    for Seen { head, .. } in &before {
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/v1/logs"));
        assert_eq!(head.headers["content-type"], "application/x-protobuf");
        assert_eq!(head.headers["authorization"], "Bearer hidden");
    }

    step("it is gone, and nobody who asks the gateway feels it");
    drop(collector);
    let begun = Instant::now();
    ask(&gateway, 30..90).await;
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    gateway.event("export_failed", |it| it["error"].is_string()).await;

    step("it is back");
    let collector = Server::start(port, tls, |_| 200).await;
    gateway.event("export_recovered", |it| it["dropped"] == 0).await;
    until_sent(&gateway, 90).await;
    assert_eq!(gateway.metric_with("gateway_otlp_records_total", "queue_full").await, 0.0);

    step("the gateway ends, and what it says last arrives");
    let said = stop(gateway).await;
    let all: Vec<Seen> = before.into_iter().chain(collector.seen()).collect();
    let arrived = decoded(folder.path(), &all).await;
    compare(&said, &arrived);
    for Seen { body, .. } in &all {
        for secret in ["hidden", "very-secret"] {
            let mut windows = body.windows(secret.len());
            assert!(!windows.any(|it| it == secret.as_bytes()), "{secret}");
        }
    }
}

/// A certificate for loopback, and its authority in a file: itself.
fn certified(folder: &Path) -> TlsAcceptor {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    fs::write(folder.join("collector.pem"), certificate.pem()).unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A gateway in front of nothing, with this collector.
async fn start(folder: &Path, collector: u16, secure: bool) -> Gateway {
    let [port, nobody] = free_ports();
    fs::write(folder.join("token"), "Bearer hidden\n").unwrap();
    let (scheme, ca) = if secure { ("https", "ca: collector.pem") } else { ("http", "") };
    let policy = format!(
        r#"
version: 1
site: {{ host: {HOST} }}
listen: {{ https: ["127.0.0.1:{port}"], http: [], admin: "unix:{0}/admin.sock" }}
tls: {{ self_signed: true }}
n8n: {{ url: "http://127.0.0.1:{nobody}" }}
state: {{ dir: "{0}/state" }}
access: {{ editor: nobody }}
log:
  otlp:
    endpoint: {scheme}://127.0.0.1:{collector}/
    headers: {{ authorization: "${{file:token}}" }}
    {ca}
"#,
        folder.display()
    );
    Gateway::start_from(program(), folder, HOST, port, &policy).await
}

/// Asks for as many webhooks, whose paths are secrets.
async fn ask(gateway: &Gateway, which: std::ops::Range<u32>) {
    let client = gateway.client(STRANGER);
    for n in which {
        let asked = Request::post(format!("/webhook/very-secret-{n}?token=very-secret"));
        client.send(asked, "x").await.is(503);
    }
}

/// Waits until so many requests have been sent to the collector, and all that is said besides.
async fn until_sent(gateway: &Gateway, requests: usize) {
    eventually("the collector has them", async || {
        let records = gateway.events("access").len();
        let lines = gateway.said().lines().count();
        let sent = gateway.metric_with("gateway_otlp_records_total", "\"sent\"").await;
        (records >= requests && sent >= lines as f64 - 1.0).then_some(())
    })
    .await;
}

/// Ends the gateway in order, and gives all that it has said.
async fn stop(gateway: Gateway) -> Vec<Value> {
    let said = gateway.end_in_order().await;
    said.lines().filter_map(|it| serde_json::from_str(it).ok()).collect()
}

/// Every record, as OpenTelemetry's own messages read it.
async fn decoded(folder: &Path, all: &[Seen]) -> Vec<Value> {
    let mut python = Command::new("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/observability/decode.py");
    python.arg(script).env("PYTHONPATH", given("N8N_GATEWAY_TEST_OTLP"));
    for (n, Seen { body, .. }) in all.iter().enumerate() {
        let file = folder.join(format!("request-{n}"));
        fs::write(&file, body).unwrap();
        python.arg(file);
    }
    let (fine, said) = run(&mut python).await;
    assert!(fine, "{said}");
    said.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// What was said has arrived, all of it, with the names that OpenTelemetry has for it.
fn compare(said: &[Value], arrived: &[Value]) {
    let events = |name: &str| said.iter().filter(|it| it["event"] == name).count();
    assert_eq!(events("access"), 90);
    for name in ["started", "access", "export_failed", "export_recovered", "stopping", "stopped"] {
        let told = format!("n8n_gateway.{name}");
        let found = arrived.iter().filter(|it| it["event"] == *told).count();
        // What was under way when the collector went may come twice, and nothing is missing.
        assert!(found >= events(name) && found > 0, "{name}: {found} of {}", events(name));
    }
    let ids = |all: &[Value], at: &dyn Fn(&Value) -> Value| -> BTreeSet<String> {
        all.iter().filter_map(|it| at(it).as_str().map(str::to_owned)).collect()
    };
    let of_access = |it: &Value| it["event"] == "access";
    let said_ids =
        ids(said, &|it| if of_access(it) { it["request_id"].clone() } else { Value::Null });
    let arrived_ids = ids(arrived, &|it| it["attributes"]["n8n_gateway.request_id"].clone());
    assert!(said_ids.is_subset(&arrived_ids), "each request is there");
    let access = arrived.iter().find(|it| it["event"] == "n8n_gateway.access").unwrap();
    for (key, value) in [
        ("http.request.method", Value::from("POST")),
        ("url.scheme", "https".into()),
        ("url.path", "/webhook/*".into()),
        ("http.response.status_code", 503.into()),
        ("client.address", STRANGER.to_string().into()),
        ("tls.protocol.version", "1.3".into()),
        ("n8n_gateway.reason", "upstream_unreachable".into()),
        ("n8n_gateway.surface", "webhook".into()),
    ] {
        assert_eq!(access["attributes"][key], value, "{key}: {access}");
    }
    assert_eq!(access["severity"], 9);
    assert_eq!(access["scope"], "n8n-gateway");
    assert_eq!(access["resource"]["service.name"], "n8n-gateway");
    assert!(access["resource"]["process.pid"].is_u64(), "{access}");
}
