//! Webhooks: what is asked of their calls before n8n is touched, and what is remembered of them.

use std::{convert::Infallible, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway_testkit::{Gateway, POLICY, Response};
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::Value;
use tokio::time::sleep;

const SENDER: &str = "203.0.113.80";

fn policy(webhooks: &str) -> String {
    format!("{POLICY}webhooks:\n{webhooks}")
}

/// GitHub's and Stripe's, and one of somebody's own, each with an old secret and a new one.
const SIGNED: &str = "  /webhook/github: { signature: github, secret: [new, old] }
  /webhook/shop/*: { signature: shopify, secret: old, once: 1h }
  /webhook/stripe: { signature: stripe, secret: [new, old], tolerance: 5m }
  /webhook/own: { signature: hmac, secret: old, hmac: { header: x-signature, prefix: 'v1=', \
    algorithm: sha512, encoding: base64, signed: 'x{timestamp}y{body}', timestamp: x-time } }
  /webhook/token: { bearer: [new, old] }
  /webhook/basic: { basic: 'me:old' }
";

fn signed_policy() -> String {
    policy(SIGNED)
}

fn mac(algorithm: hmac::Algorithm, secret: &str, content: &str) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, secret.as_bytes());
    hmac::sign(&key, content.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn github(secret: &str, body: &str) -> String {
    let signature = hex(&mac(hmac::HMAC_SHA256, secret, body));
    format!("POST /webhook/github\nx-hub-signature-256: sha256={signature}")
}

fn stripe(secret: &str, at: i64, body: &str) -> String {
    let signature = hex(&mac(hmac::HMAC_SHA256, secret, &format!("{at}.{body}")));
    format!("POST /webhook/stripe\nstripe-signature: t={at},v1={signature}")
}

fn own(secret: &str, at: i64, body: &str) -> String {
    let signature = mac(hmac::HMAC_SHA512, secret, &format!("x{at}y{body}"));
    let signature = BASE64_STANDARD.encode(signature);
    format!("POST /webhook/own\nx-time: {at}\nx-signature: v1={signature}")
}

fn shopify(path: &str, body: &str) -> String {
    let signature = BASE64_STANDARD.encode(mac(hmac::HMAC_SHA256, "old", body));
    format!("POST /webhook/shop/{path}\nx-shopify-hmac-sha256: {signature}")
}

async fn call(gateway: &Gateway, lines: &str, body: &str) -> Response {
    gateway.client(SENDER).await.ask_with(lines, body.to_owned()).await
}

async fn status(gateway: &Gateway, lines: &str, body: &str) -> u16 {
    call(gateway, lines, body).await.status.as_u16()
}

fn now(gateway: &Gateway) -> i64 {
    use gateway_proxy::Warden;
    gateway.guard().now().0
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

const BODY: &str = "{\"a\" : 1,\n \"b\":\"\u{e4}\u{0}\"}  ";

#[tokio::test(start_paused = true)]
async fn who_shares_a_secret_gets_in_byte_for_byte_and_nobody_else() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    let at = now(&gateway);
    for (lines, expected) in [
        (github("old", BODY), 200),
        (github("new", BODY), 200),
        (github("older", BODY), 403),
        (github("old", "other"), 403),
        ("POST /webhook/github".to_owned(), 403),
        ("POST /webhook/%67ithub/below".to_owned(), 403),
        (stripe("old", at, BODY), 200),
        (stripe("older", at, BODY), 403),
        (own("old", at, BODY), 200),
        (own("old", at, "other"), 403),
        ("POST /webhook/token\nauthorization: Bearer new".to_owned(), 200),
        ("POST /webhook/token\nauthorization: Bearer newer".to_owned(), 401),
        ("POST /webhook/token".to_owned(), 401),
        ("POST /webhook/basic\nauthorization: Basic bWU6b2xk".to_owned(), 200),
        ("POST /webhook/basic\nauthorization: Basic bWU6bmV3".to_owned(), 401),
        ("POST /webhook/other".to_owned(), 200),
    ] {
        drop(gateway.n8n.take_seen());
        assert_eq!(status(&gateway, &lines, BODY).await, expected, "{lines}");
        let seen = gateway.n8n.take_seen();
        assert_eq!(seen.len(), usize::from(expected == 200), "n8n is not touched: {lines}");
        assert!(seen.iter().all(|it| it.beginning == BODY.as_bytes()), "byte for byte");
    }
    let asked = call(&gateway, "POST /webhook/basic", "").await;
    assert_eq!(asked.header("www-authenticate"), "Basic realm=\"webhook\", charset=\"UTF-8\"");
    let metrics = gateway.telemetry.exposition();
    for line in [
        "gateway_webhook_requests_total{outcome=\"accepted\",webhook=\"webhook at 8:3\"} 2\n",
        "gateway_webhook_requests_total{outcome=\"refused\",webhook=\"webhook at 8:3\"} 4\n",
        "gateway_requests_refused_total{reason=\"credentials\",surface=\"webhook\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let refused = events(&gateway, "webhook_refused");
    assert_eq!(refused[0]["webhook"], "webhook at 8:3");
    assert_eq!(refused[0]["asked"], "github");
    assert_eq!(refused[0]["because"], "it is wrong");
    assert!(events(&gateway, "offence").is_empty(), "nobody is banned for a wrong secret");
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_pieces_is_signed_as_a_whole() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    let body = "x".repeat(300_000);
    let mut client = gateway.client_h2(SENDER).await;
    assert_eq!(client.ask_with(&github("old", &body), body.clone()).await.status, 200);
    assert_eq!(gateway.n8n.take_seen()[0].body, Some(300_000));
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(client.ask_with(&github("old", &large), large.clone()).await.status, 413);
    assert!(gateway.n8n.take_seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_is_taken_once_and_within_its_time() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    let at = now(&gateway);
    let lines = stripe("old", at, BODY);
    assert_eq!(status(&gateway, &lines, BODY).await, 200);
    assert_eq!(status(&gateway, &lines, BODY).await, 403, "again");
    let other = stripe("new", at, BODY);
    assert_eq!(status(&gateway, &other, BODY).await, 403, "the same with the other secret");
    assert_eq!(status(&gateway, &stripe("old", at + 1, BODY), BODY).await, 200, "sent anew");
    for (after, expected) in [(-301, 403), (-300, 200), (300, 200), (301, 403)] {
        let lines = stripe("old", at + after, BODY);
        assert_eq!(status(&gateway, &lines, BODY).await, expected, "{after}");
    }
    sleep(Duration::from_secs(302)).await;
    assert_eq!(status(&gateway, &lines, BODY).await, 403, "too old by now");
    let because = events(&gateway, "webhook_refused");
    let because: Vec<_> = because.iter().map(|it| it["because"].as_str().unwrap()).collect();
    let again = "it was taken before";
    let expected = [again, again, "it is too old", "it is from the future", "it is too old"];
    assert_eq!(because, expected);
    let replayed = "gateway_requests_refused_total{reason=\"replayed\",surface=\"webhook\"} 2\n";
    assert!(gateway.telemetry.exposition().contains(replayed));
}

#[tokio::test(start_paused = true)]
async fn what_n8n_did_not_take_may_come_again() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    for _ in 0..3 {
        assert_eq!(status(&gateway, &shopify("500", BODY), BODY).await, 500);
    }
    gateway.n8n.set_down(true);
    gateway.n8n.hang_up();
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 503);
    gateway.n8n.set_down(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 200);
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 403);
    // As one line has it, it is one message wherever it goes.
    assert_eq!(status(&gateway, &shopify("refunds", BODY), BODY).await, 403);
    sleep(Duration::from_secs(3601)).await;
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 200);
}

/// A provider whose patience ends sends its message again: what it was not told of was not taken.
#[tokio::test(start_paused = true)]
async fn a_message_is_taken_when_n8n_has_answered_and_is_under_way_once() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    let mut leaving = gateway.client(SENDER).await;
    let meanwhile = async {
        while gateway.n8n.seen().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        let again = call(&gateway, &shopify("orders", BODY), BODY).await;
        assert_eq!(again.status, 503);
        assert!(again.header("retry-after").parse::<u32>().is_ok_and(|it| it > 0));
        let other = format!("{BODY} ");
        assert_eq!(status(&gateway, &shopify("orders", &other), &other).await, 200);
    };
    tokio::select! {
        answer = leaving.send(Gateway::request(&shopify("hang", BODY), BODY)) => panic!("{answer:?}"),
        () = meanwhile => drop(leaving),
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 200, "nobody answered");
    assert_eq!(status(&gateway, &shopify("orders", BODY), BODY).await, 403);
    let because = events(&gateway, "webhook_refused");
    let because: Vec<_> = because.iter().map(|it| it["because"].as_str().unwrap()).collect();
    assert_eq!(because, ["it is under way", "it was taken before"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_replaced_without_a_call_lost() {
    let mut gateway =
        Gateway::start(&policy("  /webhook/github: { signature: github, secret: old }\n")).unwrap();
    assert_eq!(status(&gateway, &github("old", BODY), BODY).await, 200);
    for (secrets, old, new) in [("[old, new]", 200, 200), ("new", 403, 200)] {
        let line = format!("  /webhook/github: {{ signature: github, secret: {secrets} }}\n");
        assert_eq!(gateway.reload(&policy(&line)).outcome.name(), "applied");
        assert_eq!(status(&gateway, &github("old", BODY), BODY).await, old);
        assert_eq!(status(&gateway, &github("new", BODY), BODY).await, new);
    }
    gateway.reload(POLICY);
    assert_eq!(status(&gateway, &github("old", BODY), BODY).await, 200, "nothing is asked");
    assert!(!gateway.telemetry.exposition().contains("gateway_webhook_requests_total{"));
}

#[tokio::test(start_paused = true)]
async fn a_path_with_parameters_is_asked_however_its_segments_are_ordered() {
    let id = "77777777-7777-4777-8777-777777777777";
    let line = format!("  /webhook/{id}/user/:id: {{ signature: github, secret: old }}\n");
    let gateway = Gateway::start(&policy(&line)).unwrap();
    for (path, expected) in [("user/5", 403), ("5/user", 403), ("5/%75ser/", 403), ("5", 200)] {
        let lines = format!("POST /webhook/{id}/{path}");
        assert_eq!(status(&gateway, &lines, BODY).await, expected, "{path}");
    }
    // Who imports a workflow may have given any id.
    let line = "  /webhook/my-hook/user/:id: { signature: github, secret: old }\n";
    let closed = "access: { editor: team, webhook/my-hook/order/:id: nobody }\n";
    let policy = policy(line).replace("access: { editor: team }\n", closed);
    assert!(policy.contains(closed), "{policy}");
    let gateway = Gateway::start(&policy).unwrap();
    for (path, expected) in [
        ("user/5", 403),
        ("5/user", 403),
        ("5/%75ser/", 403),
        ("5", 200),
        ("order/5", 404),
        ("5/order", 404),
    ] {
        let lines = format!("POST /webhook/my-hook/{path}");
        assert_eq!(status(&gateway, &lines, BODY).await, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_as_its_line_says() {
    let line = "  /webhook/orders: { methods: POST, content_types: application/json, size: 10B, \
                from: team }\n";
    let gateway = Gateway::start(&policy(line)).unwrap();
    let json = "content-type: application/json; charset=utf-8";
    for (from, lines, body, expected) in [
        ("192.0.2.1", format!("POST /webhook/orders\n{json}"), "{}", 200),
        ("192.0.2.1", format!("PUT /webhook/orders\n{json}"), "{}", 404),
        ("192.0.2.1", "POST /webhook/orders\ncontent-type: text/plain".to_owned(), "{}", 415),
        ("192.0.2.1", "POST /webhook/orders".to_owned(), "{}", 415),
        ("192.0.2.1", format!("POST /webhook/orders\n{json}"), "0123456789a", 413),
        (SENDER, format!("POST /webhook/orders\n{json}"), "{}", 404),
    ] {
        let answer = gateway.client(from).await.ask_with(&lines, body).await;
        assert_eq!(answer.status, expected, "{from} {lines}");
    }
    assert_eq!(gateway.n8n.seen().len(), 1);
    assert!(gateway.log().iter().all(|it| !it.to_string().contains("orders")), "it is a secret");
}

#[tokio::test(start_paused = true)]
async fn in_a_dry_run_it_is_told_and_not_refused() {
    let dry = format!("{}mode: dry-run\n", signed_policy());
    let gateway = Gateway::start(&dry).unwrap();
    assert_eq!(status(&gateway, "POST /webhook/github", BODY).await, 200);
    assert_eq!(status(&gateway, "POST /webhook/token", BODY).await, 200);
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(status(&gateway, &github("old", &large), &large).await, 200);
    // Nor is what does not say how long it is, and has to be read to find out.
    let longest = Bytes::from(vec![b'x'; (17 << 20) + 1]);
    for lines in [github("old", ""), "POST /webhook/other\ncontent-type: application/json".into()] {
        let (head, _) = Gateway::request(&lines, "").into_parts();
        let pieces: Vec<_> = longest.chunks(1 << 20).map(|it| longest.slice_ref(it)).collect();
        let pieces = pieces.into_iter().map(|it| Ok::<_, Infallible>(Frame::data(it)));
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        let mut client = gateway.client(SENDER).await;
        let answer = client.send(Request::from_parts(head, body)).await.unwrap();
        assert_eq!(answer.status(), 200, "{lines}");
        assert_eq!(gateway.n8n.seen().pop().unwrap().body, Some(longest.len()), "{lines}");
    }
    let told = events(&gateway, "would_refuse");
    let reasons: Vec<_> = told.iter().map(|it| it["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons[..2], ["signature", "credentials"]);
    assert!(reasons[2..].contains(&"body_too_large"), "{reasons:?}");
    assert_eq!(told[0]["rule"], "webhook at 8:3: there is none");
}

#[tokio::test(start_paused = true)]
async fn what_n8n_has_is_remembered_and_strangers_add_nothing() {
    let gateway = Gateway::start(&signed_policy()).unwrap();
    for lines in [
        "POST /webhook/deactivated",
        "OPTIONS /webhook/made-up",
        "GET /webhook/404",
        "POST /webhook/500",
        "GET /rest/settings",
        "POST /webhook-test/x",
    ] {
        call(&gateway, lines, "").await;
    }
    assert!(gateway.guard().webhooks().is_empty());
    call(&gateway, &github("old", BODY), BODY).await;
    call(&gateway, "POST /webhook/github", BODY).await;
    for path in ["orders", "orders/", "%6frders"] {
        call(&gateway, &format!("POST /WEBHOOK/{path}"), BODY).await;
    }
    gateway.ask("2001:db8:7::1", "GET /form/signup").await;
    gateway.ask("2001:db8:7::1", "GET /webhook/401").await;
    let known = gateway.guard().webhooks();
    let paths: Vec<_> = known.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/form/signup", "/webhook/401", "/webhook/github", "/webhook/orders"]);
    let of = |path: &str| known.iter().find(|it| it.0 == path).unwrap().1.clone();
    assert_eq!((of("/webhook/github").calls, of("/webhook/github").signed), (1, true));
    assert_eq!((of("/webhook/orders").calls, of("/webhook/orders").signed), (3, false));
    assert_eq!(of("/webhook/401").answers, [0, 0, 0, 1, 0]);
    assert_eq!(of("/form/signup").networks[0].to_string(), "2001:db8:7::/48");
    assert!(gateway.log().iter().all(|it| !it.to_string().contains("orders")), "it is a secret");
    // It outlives the process.
    assert!(gateway.guard().settled().await);
    let state = gateway.folder().join("state");
    gateway.stop.cancel();
    sleep(Duration::from_secs(1)).await;
    let clock = std::sync::Arc::new(gateway_testkit::MovedClock::default());
    let telemetry = gateway.telemetry.clone();
    let again = n8n_gateway::Guard::open(&state, clock, telemetry).unwrap();
    assert_eq!(again.webhooks(), known);
}
