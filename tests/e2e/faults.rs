//! What goes wrong between the gateway and n8n, and inside the gateway.

use std::time::Duration;

use gateway_testkit::{Gateway, POLICY};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

const STRANGER: &str = "203.0.113.9";

#[tokio::test]
async fn n8n_down_is_a_page_for_people_and_json_for_programs() {
    let gateway = Gateway::start(POLICY).unwrap();
    gateway.n8n.set_down(true);
    let page = gateway.ask(STRANGER, "GET /form/x\naccept: text/html,*/*").await;
    assert_eq!(page.status, 503);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.body.contains(page.header("x-request-id")), "{}", page.body);
    assert_eq!(page.header("retry-after"), "5");
    let json = gateway.ask(STRANGER, "POST /webhook/x\naccept: application/json").await;
    let body: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(body["code"], 503);
    assert_eq!(body["requestId"], json.header("x-request-id"));
    assert_eq!(json.header("retry-after"), "5");
    gateway.n8n.set_down(false);
    gateway.probe().await;
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/x").await.status, 200);
}

#[tokio::test]
async fn a_broken_answer_is_a_502_or_a_broken_answer() {
    let gateway = Gateway::start(POLICY).unwrap();
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/break").await.status, 502);
    let mut client = gateway.client(STRANGER).await;
    let response = client.send(Gateway::request("GET /webhook/half", "")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "100");
    let mut body = response.into_body();
    let mut received = 0;
    let broken = loop {
        match body.frame().await {
            Some(Ok(frame)) => received += frame.into_data().unwrap().len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "an answer that is not whole must not look whole");
    assert!(received <= 10);
}

#[tokio::test]
async fn a_request_that_n8n_may_have_seen_is_never_sent_again() {
    let gateway = Gateway::start(POLICY).unwrap();
    let answer = gateway.ask(STRANGER, "POST /webhook/break").await;
    assert_eq!(answer.status, 502);
    assert_eq!(gateway.n8n.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_to_n8n_are_kept_and_not_longer_than_n8n_keeps_them() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    for _ in 0..20 {
        assert_eq!(client.ask("GET /webhook/x").await.status, 200);
    }
    assert_eq!(gateway.n8n.connections(), 1, "kept alive");
    // n8n closes an idle connection after five seconds; one that is nearly as old is not used.
    for (pause, connections) in [(3, 1), (4, 2), (6, 3)] {
        sleep(Duration::from_secs(pause)).await;
        assert_eq!(client.ask("POST /webhook/x").await.status, 200);
        assert_eq!(gateway.n8n.connections(), connections, "after {pause} s");
    }
    assert_eq!(gateway.n8n.seen().len(), 23, "each once");
}

#[tokio::test]
async fn a_bug_costs_one_request() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client_h2(STRANGER).await;
    gateway.n8n.set_bug(true);
    let answer = client.ask("GET /webhook/x").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("on purpose"), "a stranger is told nothing of it");
    gateway.n8n.set_bug(false);
    assert_eq!(client.ask("GET /webhook/x").await.status, 200, "on the same connection");
    assert!(gateway.telemetry.exposition().contains("gateway_requests_panicked_total 1"));
    let log = gateway.log();
    let bug = log.iter().find(|line| line["event"] == "panicked").unwrap();
    assert_eq!(bug["request_id"], answer.header("x-request-id"));
    assert_eq!(bug["message"], "a bug, on purpose");
}

/// Production webhooks go round the processors, the rest to main; a client keeps its MCP process.
#[tokio::test]
async fn queue_mode_parts_the_load() {
    let urls = "n8n: { url: http://main:1, webhook_urls: [http://one:1, http://two:1] }\n";
    let policy = format!("{POLICY}{urls}").replace("editor: team }", "editor: team, mcp: anyone }");
    let gateway = Gateway::start(&policy).unwrap();
    for target in ["/webhook/a", "/form/a", "/webhook-waiting/1", "/form-waiting/1"] {
        for _ in 0..2 {
            gateway.ask(STRANGER, &format!("GET {target}")).await;
        }
    }
    for target in ["/rest/settings", "/webhook-test/a", "/rest/oauth2-credential/callback"] {
        gateway.ask("192.0.2.1", &format!("GET {target}")).await;
    }
    let asked =
        |process: &str| gateway.n8n.seen().iter().filter(|it| it.process == process).count();
    assert_eq!((asked("http://one:1"), asked("http://two:1"), asked("http://main:1")), (4, 4, 3));
    for _ in 0..4 {
        gateway.ask(STRANGER, "POST /mcp/tools").await;
    }
    let seen = gateway.n8n.seen();
    let mcp: Vec<_> =
        seen.iter().filter(|it| it.target == "/mcp/tools").map(|it| &it.process).collect();
    assert!(mcp.iter().all(|process| *process == mcp[0]), "{mcp:?}");
}

#[tokio::test]
async fn a_processor_that_is_gone_costs_nobody_a_request() {
    let urls = "n8n: { url: http://main:1, webhook_urls: [http://one:1, http://two:1] }\n";
    let gateway = Gateway::start(&format!("{POLICY}{urls}")).unwrap();
    gateway.n8n.set_gone("http://one:1");
    for _ in 0..6 {
        let answer = gateway.client(STRANGER).await.ask_with("POST /webhook/x", "hello").await;
        assert_eq!(answer.body, "5 bytes", "the body went with it to the next process");
    }
    let seen = gateway.n8n.seen();
    assert!(seen.iter().all(|it| it.process == "http://two:1"), "{seen:?}");
    assert_eq!(gateway.rules().upstreams.all().filter(|it| it.is_up()).count(), 2);
    // With both gone n8n's main process is not asked: it may not serve webhooks at all.
    gateway.n8n.set_down(true);
    gateway.n8n.hang_up();
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/x").await.status, 503);
}

#[tokio::test]
async fn an_outage_that_a_request_meets_first_is_said_and_counted() {
    let gateway = Gateway::start(POLICY).unwrap();
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/x").await.status, 200);
    gateway.n8n.set_down(true);
    gateway.n8n.hang_up();
    let rules = gateway.rules();
    let n8n = rules.upstreams.all().next().unwrap();
    let up = |up: u8| format!("gateway_upstream_up{{upstream=\"{}\"}} {up}", n8n.backend);
    for _ in 0..3 {
        assert_eq!(gateway.ask(STRANGER, "POST /webhook/x").await.status, 503);
    }
    gateway.probe().await;
    assert!(!n8n.is_up(), "what n8n answered before the outage tells nothing");
    assert!(gateway.telemetry.exposition().contains(&up(0)));
    gateway.n8n.set_down(false);
    gateway.probe().await;
    assert!(n8n.is_up() && gateway.telemetry.exposition().contains(&up(1)));
    let events: Vec<_> = gateway.log().into_iter().map(|line| line["event"].clone()).collect();
    let health: Vec<_> =
        events.iter().filter_map(|it| it.as_str()?.strip_prefix("upstream_")).collect();
    assert_eq!(health, ["down", "fault", "fault", "fault", "up"], "each once");
}

#[tokio::test]
async fn a_request_that_n8n_cannot_have_seen_is_sent_again() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    assert_eq!(client.ask("GET /webhook/x").await.status, 200);
    // n8n closes its idle connections, and the gateway has not noticed yet.
    gateway.n8n.hang_up();
    let answer = client.ask_with("POST /webhook/x", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "5 bytes"));
    assert_eq!(gateway.n8n.seen().len(), 2, "each was seen once");
    assert_eq!(gateway.n8n.connections(), 2);
}

#[tokio::test]
async fn a_get_may_have_a_body() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let (mut sender, body) =
        http_body_util::channel::Channel::<bytes::Bytes, std::io::Error>::new(1);
    let mut request = Gateway::request("GET /webhook/x", "").map(|_| body);
    request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
    let send = async {
        sender.send_data("hello".into()).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(client.send(request), send);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(gateway.n8n.seen()[0].body, Some(5));
}

/// A body that is announced is asked for only once its request is permitted and n8n is there.
#[tokio::test]
async fn a_body_that_waits_is_not_asked_for_in_vain() {
    let gateway = Gateway::start(POLICY).unwrap();
    let first = async |target: &str| {
        let io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await;
        let mut io = io.unwrap();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: n8n.test\r\nexpect: 100-continue\r\n\
             content-length: 5\r\n\r\n"
        );
        io.write_all(head.as_bytes()).await.unwrap();
        let mut said = vec![0; 4096];
        let length = io.read(&mut said).await.unwrap();
        (String::from_utf8_lossy(&said[..length]).into_owned(), io)
    };
    let (said, mut io) = first("/webhook/x").await;
    assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n");
    io.write_all(b"hello").await.unwrap();
    let mut said = vec![0; 4096];
    let length = io.read(&mut said).await.unwrap();
    assert!(String::from_utf8_lossy(&said[..length]).starts_with("HTTP/1.1 200"));
    let seen = gateway.n8n.seen();
    assert!(seen[0].body == Some(5) && !seen[0].headers.contains_key("expect"), "{seen:?}");

    assert!(first("/rest/workflows").await.0.starts_with("HTTP/1.1 404"));
    gateway.n8n.set_down(true);
    gateway.n8n.hang_up();
    for _ in 0..2 {
        assert!(first("/webhook/x").await.0.starts_with("HTTP/1.1 503"));
    }
    assert_eq!(gateway.n8n.seen().len(), 1);
}
