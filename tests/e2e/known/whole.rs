//! The whole gateway: each example with its own entry alone in force, and what the policy, n8n's
//! release and what cannot be read make of it.

use std::{
    collections::BTreeMap,
    io::Write,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, available_parallelism},
};

use aws_lc_rs::hmac;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use gateway_testkit::{Example, Gateway, Response};
use serde_json::Value;
use tokio::runtime::Builder;

const STRANGER: &str = "203.0.113.9";

/// Everybody may reach everything that is tried, as often as they like.
fn policy(attacks: &str) -> String {
    format!(
        "version: 1\n\
         site: {{ host: n8n.test }}\n\
         tls: {{ self_signed: true }}\n\
         access: {{ editor: anyone, public-api: anyone, mcp: anyone }}\n\
         rate_limits: {{ sign-in: [], oauth-server: [] }}\n\
         state: {{ dir: state }}\n\
         attacks: {attacks}\n"
    )
}

/// The status that an example gets, and how many bytes of its body n8n saw.
async fn send(gateway: &Gateway, from: &str, example: &Example) -> (u16, Option<usize>) {
    let before = gateway.n8n.seen().len();
    let mut client = gateway.client(from).await;
    let request = Gateway::request(&example.lines, example.body.clone());
    let response = client.send(request).await.unwrap();
    let status = response.status().as_u16();
    let seen = gateway.n8n.seen().split_off(before);
    (status, seen.last().and_then(|it| it.body))
}

fn found(gateway: &Gateway, id: &str, outcome: &str) -> usize {
    let is =
        |it: &&Value| it["event"] == "attack" && it["attack"] == id && it["outcome"] == outcome;
    gateway.log().iter().filter(is).count()
}

#[tokio::test]
async fn every_attack_is_stopped_and_what_looks_like_it_passes() {
    let mut entries: BTreeMap<String, Vec<Example>> = BTreeMap::new();
    for example in Example::all() {
        entries.entry(example.entry.clone()).or_default().push(example);
    }
    for (id, examples) in entries {
        let only = format!("{{ mode: off, entries: {{ {id}: block }} }}");
        let gateway = Gateway::start(&policy(&only)).unwrap();
        for (at, example) in examples.iter().enumerate() {
            // Whoever attacks is banned after a while.
            let from = format!("203.0.113.{at}");
            let (status, body) = send(&gateway, &from, example).await;
            let place = format!("{id}: {}", example.lines);
            if example.stops {
                assert_eq!((status, body), (403, None), "{place}");
            } else {
                assert_ne!(status, 403, "{place}");
                assert!(example.websocket || body == Some(example.body.len()), "{place}: {body:?}");
            }
        }
        let stopped = examples.iter().filter(|it| it.stops).count();
        assert_eq!(found(&gateway, &id, "blocked"), stopped, "{id}");
        let metrics = gateway.telemetry.exposition();
        let series =
            format!("gateway_attacks_total{{id=\"{id}\",outcome=\"blocked\"}} {stopped}\n");
        assert!(metrics.contains(&series), "{series}");
    }
}

async fn json(gateway: &Gateway, line: &str, body: &str) -> Response {
    let lines = format!("{line}\ncontent-type: application/json");
    gateway.client(STRANGER).await.ask_with(&lines, body.to_owned()).await
}

#[tokio::test]
async fn what_n8n_is_open_to_depends_on_its_release() {
    let mut gateway = Gateway::start(&policy("{}")).unwrap();
    let workflow = r#"{"nodes":[{"type":"n8n-nodes-base.function"}]}"#;
    let save = async |gateway: &Gateway| {
        json(gateway, "POST /rest/workflows", workflow).await.status.as_u16()
    };
    assert_eq!(save(&gateway).await, 200, "nobody knows, and it could be honest");
    gateway.n8n_is("2.40.7");
    assert_eq!(save(&gateway).await, 403);
    gateway.n8n_is("2.42.6");
    assert_eq!(save(&gateway).await, 200, "mended");
    assert_eq!(found(&gateway, "CVE-2026-119408", "reported"), 2);
    let log = gateway.log();
    let said: Vec<_> = log.iter().filter(|it| it["event"] == "honest_stopped").collect();
    assert_eq!(said.len(), 1, "once, for the release that has the flaw");
    assert_eq!(
        (&said[0]["attack"], &said[0]["level"]),
        (&"CVE-2026-119408".into(), &"WARN".into())
    );
    let way_out = "entries: { CVE-2026-119408: report }";
    assert!(said[0]["advice"].as_str().unwrap().contains(way_out), "{}", said[0]);
    let blocked = |it: &&Value| it["event"] == "attack" && it["outcome"] == "blocked";
    let blocked = log.iter().find(blocked).unwrap();
    assert!(blocked["advice"].as_str().unwrap().contains(way_out), "{blocked}");
    let refused = {
        gateway.reload(&policy("{ entries: { CVE-2026-119408: block } }"));
        json(&gateway, "POST /rest/workflows", workflow).await
    };
    let told: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(told["code"], 403, "as n8n says it, so that its editor shows it");
    assert!(told["message"].as_str().unwrap().contains(way_out), "{told}");
    assert_eq!(save(&gateway).await, 403, "the policy says so");
    gateway.n8n_is("2.40.7");
    gateway.reload(&policy("{ max_body: 1MiB }"));
    assert_eq!(save(&gateway).await, 403, "the release is known after a reload");
    let log = gateway.log();
    let told: Vec<_> = log.iter().filter(|it| it["event"] == "n8n_release").collect();
    assert_eq!(told.len(), 3);
    assert_eq!((&told[1]["release"], &told[1]["before"]), (&"2.42.6".into(), &"2.40.7".into()));
}

#[tokio::test]
async fn a_refusal_says_no_more_than_that() {
    let gateway = Gateway::start(&policy("{ mode: block }")).unwrap();
    let answer = json(&gateway, "POST /webhook/x", r#"{"__proto__":{}}"#).await;
    let said: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), &said["code"]), (403, &403.into()));
    assert!(!answer.body.contains("proto") && !answer.body.contains("CVE"), "{}", answer.body);
    let log = gateway.log();
    let record = log.iter().find(|it| it["event"] == "access").unwrap();
    assert_eq!(record["reason"], "attack");
    assert!(gateway.n8n.seen().is_empty());
}

#[tokio::test]
async fn a_dry_run_tells_and_refuses_nothing() {
    let dry = format!("{}mode: dry-run\n", policy("{ mode: block }"));
    let gateway = Gateway::start(&dry).unwrap();
    assert_eq!(json(&gateway, "POST /webhook/x", r#"{"__proto__":1}"#).await.status, 200);
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/:id").await.status, 200);
    let form = "POST /form/x\ncontent-type: multipart/form-data; boundary=b";
    let body = "--b\r\nContent-Disposition: form-data; filename=\"../x\"\r\n\r\n\r\n--b--\r\n";
    let mut client = gateway.client(STRANGER).await;
    assert_eq!(client.ask_with(form, body).await.status, 200);
    for id in ["prototype-keys", "CVE-2026-110852", "file-names"] {
        assert_eq!(found(&gateway, id, "would_block"), 1, "{id}");
    }
    assert!(!gateway.log().iter().any(|it| it["event"] == "banned"));
}

#[tokio::test]
async fn what_n8n_could_read_otherwise_does_not_pass_where_it_matters() {
    let mut gateway = Gateway::start(&policy("{ mode: block, max_body: 4KiB }")).unwrap();
    let deep = "[".repeat(300);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
    let ask = async |gateway: &Gateway, kind: &str, body: &str| {
        let lines = format!("POST /webhook/x\ncontent-type: {kind}");
        let mut client = gateway.client(STRANGER).await;
        client.ask_with(&lines, body.to_owned()).await.status.as_u16()
    };
    let cases = [
        ("application/json; charset=utf-16le", "{}", 400),
        ("application/json; charset=base64", "e30=", 400),
        ("application/json", deep.as_str(), 400),
        ("application/xml", "<a><b></a>", 400),
        ("application/json", long.as_str(), 413),
        ("application/json\ncontent-encoding: gzip", "{}", 400),
        // n8n reads nothing in these, or what it reads is the same in all encodings.
        ("application/json\ncontent-encoding: br", "\u{1}", 200),
        ("application/octet-stream", long.as_str(), 200),
        ("application/json", "{\"a\": \"\\ud83d\", \"b\": 1e999}", 200),
        ("application/json; charset=\"UTF-8\"", "{}", 200),
        ("application/json; charset=iso-8859-1", "{}", 200),
        ("application/json", "not json", 200),
        ("application/json", "", 200),
    ];
    for (kind, body, expected) in cases {
        assert_eq!(ask(&gateway, kind, body).await, expected, "{kind}: {body:.40}");
    }
    gateway.reload(&policy("{ mode: report, max_body: 4KiB }"));
    for (kind, body, _) in cases {
        assert_eq!(ask(&gateway, kind, body).await, 200, "{kind}: {body:.40}");
    }
}

#[tokio::test]
async fn an_attacker_is_banned_and_a_sender_is_not() {
    let gateway = Gateway::start(&policy("{}")).unwrap();
    for _ in 0..5 {
        json(&gateway, "POST /webhook/x", r#"{"__proto__":1}"#).await;
    }
    assert_eq!(json(&gateway, "POST /webhook/x", "{}").await.status, 200, "it may pass things on");
    for _ in 0..3 {
        let mut client = gateway.client("203.0.113.10").await;
        client.ask("GET /signin?redirect=//evil.example").await;
    }
    let log = gateway.log();
    let banned: Vec<_> = log.iter().filter(|it| it["event"] == "banned").collect();
    assert_eq!(banned.len(), 1);
    assert_eq!(banned[0]["jail"], "attack");
}

#[tokio::test]
async fn an_operators_own_entry_is_like_any_other() {
    let own = "
  mode: off
  own:
    no-debugging:
      surfaces: [webhook]
      methods: POST
      path: orders/**
      query: { debug: present }
      headers: { x-staff: absent }
      fields: { options.debug: { is: [\"true\", \"1\"] }, \"**.command\": present }
";
    let gateway = Gateway::start(&policy(own)).unwrap();
    for (line, body, status) in [
        ("POST /webhook/orders?debug=1", r#"{"options":{"debug":true}}"#, 403),
        ("POST /webhook/orders/7?debug", r#"{"a":[{"command":"x"}]}"#, 403),
        ("POST /webhook/orders?debug=1", r#"{"options":{"debug":false}}"#, 200),
        ("POST /webhook/orders", r#"{"options":{"debug":true}}"#, 200),
        ("POST /webhook/orders?debug=1\nx-staff: 1", r#"{"options":{"debug":true}}"#, 200),
        ("PUT /webhook/orders?debug=1", r#"{"options":{"debug":true}}"#, 200),
        ("POST /webhook/other?debug=1", r#"{"options":{"debug":true}}"#, 200),
    ] {
        assert_eq!(json(&gateway, line, body).await.status.as_u16(), status, "{line} {body}");
    }
    assert_eq!(found(&gateway, "no-debugging", "blocked"), 2);
}

#[tokio::test]
async fn a_form_that_is_read_whole_for_its_signature_is_looked_through() {
    let signed = "webhooks: { /webhook/x: { signature: github, secret: s } }\n";
    let gateway = Gateway::start(&format!("{}{signed}", policy("{ mode: block }"))).unwrap();
    for (name, status) in [("x.txt", 200), ("../../x", 403)] {
        let part = format!("Content-Disposition: form-data; name=\"f\"; filename=\"{name}\"");
        let body = format!("--b\r\n{part}\r\n\r\nx\r\n--b--\r\n");
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s");
        let signature = hmac::sign(&key, body.as_bytes());
        let hex: String = signature.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        let head = format!(
            "POST /webhook/x\nx-hub-signature-256: sha256={hex}\n\
             content-type: multipart/form-data; boundary=b"
        );
        let mut client = gateway.client(STRANGER).await;
        assert_eq!(client.ask_with(&head, body).await.status.as_u16(), status, "{name}");
    }
}

/// What n8n does not read it gives to workflows as the bytes it is: JSON of any size, XML of any form.
#[tokio::test]
async fn what_n8n_does_not_read_is_refused_only_where_a_flaw_is() {
    let mut gateway = Gateway::start(&policy("{ max_body: 4KiB }")).unwrap();
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
    let cases = [("application/json", long.as_str(), 413), ("text/xml", "<a><b></a>", 400)];
    let deep = "[".repeat(300);
    for (release, stops) in [(None, true), (Some("2.10.0"), true), (Some("2.40.7"), false)] {
        if let Some(release) = release {
            gateway.n8n_is(release);
        }
        for (kind, body, refused) in cases {
            let lines = format!("POST /webhook/x\ncontent-type: {kind}");
            let answer = gateway.client(STRANGER).await.ask_with(&lines, body.to_owned()).await;
            let expected = if stops { refused } else { 200 };
            assert_eq!(answer.status, expected, "{release:?} {kind}");
        }
        // What n8n reads and the gateway does not stays outside.
        assert_eq!(json(&gateway, "POST /webhook/x", &deep).await.status, 400, "{release:?}");
        assert_eq!(json(&gateway, "POST /webhook/x", r#"{"__proto__":1}"#).await.status, 403);
    }
}

const PACKED: &str = "POST /webhook/x\ncontent-type: application/json\ncontent-encoding: gzip";

fn packed(body: &str) -> Bytes {
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    zip.write_all(body.as_bytes()).unwrap();
    zip.finish().unwrap().into()
}

/// Has as many bodies read at once as may be, until `done`.
async fn crowd(done: &AtomicBool) {
    let gateway = Gateway::start(&policy("{ mode: block }")).unwrap();
    let long = packed(&format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20)));
    let cores = available_parallelism().map_or(2, NonZero::get);
    let send = async |n: usize| {
        while !done.load(Ordering::Relaxed) {
            let mut client = gateway.client(&format!("198.51.100.{}", n % 250)).await;
            client.ask_with(PACKED, long.clone()).await;
        }
    };
    futures_util::future::join_all((0..cores).map(send)).await;
}

/// Nor where no flaw of this n8n is known to be behind it.
#[tokio::test(start_paused = true)]
async fn an_attack_that_gets_no_turn_to_be_read_does_not_pass() {
    let mut gateway = Gateway::start(&policy("{}")).unwrap();
    gateway.n8n_is("2.40.7");
    let attack = packed(r#"{"__proto__":1}"#);
    let mut client = gateway.client(STRANGER).await;
    assert_eq!(client.ask_with(PACKED, attack.clone()).await.status, 403, "with its turn");
    let done = Arc::<AtomicBool>::default();
    let others = Arc::clone(&done);
    let others = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(crowd(&others));
    });
    // The clock goes on while nothing else does: a turn that is not there is waited for in no time.
    let mut status = 403;
    while status == 403 && !others.is_finished() {
        let mut client = gateway.client(STRANGER).await;
        status = client.ask_with(PACKED, attack.clone()).await.status.as_u16();
    }
    done.store(true, Ordering::Relaxed);
    others.join().unwrap();
    assert_eq!(status, 503);
}

/// A small body can be packed so that it is as large as any: such bodies wait for their turns.
#[tokio::test]
async fn what_is_packed_small_is_read_a_few_at_a_time() {
    let gateway = Gateway::start(&policy("{ mode: block }")).unwrap();
    // No longer than that: other tests' bodies wait for the same turns.
    let long = packed(&format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20)));
    assert!(long.len() < 32 << 10);
    let send = async |n: u8| {
        let mut client = gateway.client(&format!("203.0.113.{n}")).await;
        client.ask_with(PACKED, long.clone()).await.status.as_u16()
    };
    let all = futures_util::future::join_all((0..8).map(send)).await;
    assert!(all.iter().all(|it| [200, 503].contains(it)), "{all:?}");
    assert!(all.contains(&200), "{all:?}");
}
