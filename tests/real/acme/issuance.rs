//! The first certificate, by each challenge, and what is served until it is there.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hyper::Request;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    HOST,
    dns::{Bind, hook_calls, write_hook},
    pebble::{EAB_KEY, Options},
    stage::{Place, Stage, Wish, certificate, metric_of, now, orders, renewed, until_valid},
    visitor::{Caller, challenge, look},
};
use crate::{
    client::Client,
    installation::{Gateway, STRANGER, TEAM},
    processes::{eventually, step, turn},
    relay::Relay,
};

const HOOKS: &str = "hooks.n8n.test";

/// Starts a gateway and says how long it takes until strangers see a certificate that they trust
/// for each of these hosts.
async fn served_soon(stage: &Stage, wish: &Wish, hosts: &[&'static str], by: &str) -> Gateway {
    let began = Instant::now();
    let gateway = stage.gateway(wish).await;
    for host in hosts {
        gateway.event("certificate_issued", |it| it["host"] == *host).await;
        stage.sees_valid(&gateway, host).await;
        let after = began.elapsed().as_secs_f64();
        println!("-- {host} by {by}: valid {after:.1} s after the gateway's start");
        until_issued(stage, &gateway, host, by).await;
    }
    gateway
}

/// Waits until `host` has its certificate; all that is said about it has to agree.
async fn until_issued(stage: &Stage, gateway: &Gateway, host: &'static str, by: &str) {
    let issued = gateway.event("certificate_issued", |it| it["host"] == host).await;
    assert_eq!(issued["challenge"], by, "{issued}");
    let listed = until_valid(gateway, host).await;
    for name in ["directory", "issuer", "not_after"] {
        assert_eq!(listed[name], issued[name], "{name}: {listed} {issued}");
    }
    assert_eq!(listed["challenge"], by, "{listed}");
    assert!(listed["issuer"].as_str().unwrap().contains("Pebble Intermediate CA"), "{listed}");
    assert_eq!((&listed["failures"], &listed["last_error"]), (&0.into(), &Value::Null));
    let (from, after) = (listed["not_before"].as_i64().unwrap(), listed["not_after"].as_i64());
    let after = after.unwrap();
    assert!(from <= now() && after > now() + 88 * 86_400, "{listed}");
    let renewal = &listed["renewal"];
    assert_eq!(renewal["source"], "lifetime", "Pebble has no opinion: {listed}");
    let [start, end] = ["from", "until"].map(|it| renewal[it].as_i64().unwrap());
    assert!(from < start && start <= end && end < after, "{listed}");

    let told = metric_of(gateway, "gateway_tls_certificate_not_after_seconds", host).await;
    #[expect(clippy::cast_precision_loss, reason = "seconds are few")]
    let expected = after as f64;
    assert!((told - expected).abs() < 1.0, "{told} {listed}");
    let temporary = metric_of(gateway, "gateway_tls_certificate_temporary", host).await;
    assert!(temporary.abs() < f64::EPSILON, "{temporary}");

    let seen = stage.sees_valid(gateway, host).await;
    assert_eq!(seen.issuers, 1, "the whole chain, and no root");
}

/// Asserts that as many certificates were issued by as many orders, and by one account.
async fn assert_orders(stage: &Stage, gateway: &Gateway, count: u32) {
    let taken = (stage.pebble.orders(), stage.pebble.issued(), stage.pebble.accounts());
    let expected = usize::try_from(count).unwrap();
    assert_eq!(taken, (expected, expected, 1));
    let counted = (orders(gateway, "issued").await, orders(gateway, "failed").await);
    assert_eq!(counted, (f64::from(count), 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_challenge_is_enough() {
    let _turn = turn().await;
    for (by, plain) in [("tls-alpn-01", false), ("http-01", true)] {
        step(by);
        let stage = Stage::start(Options::default()).await;
        let wish = Wish { challenges: by, plain, ..Wish::default() };
        let gateway = served_soon(&stage, &wish, &[HOST], by).await;
        assert_orders(&stage, &gateway, 1).await;
        assert_secrets_are_kept(&stage, &gateway);
        // Nobody else gets what is for the directory alone, when it is over least of all.
        challenge(gateway.port(), HOST).await.expect_err("no challenge is open");
        gateway.kill().await;
    }
}

/// What is secret is in files of its owner, and in no log.
fn assert_secrets_are_kept(stage: &Stage, gateway: &Gateway) {
    let files = files_in(&stage.place.certificates());
    let inside = |part: &str| files.iter().filter(|it| it.to_string_lossy().contains(part)).count();
    assert!(files.contains(&stage.place.pem()) && inside("/accounts/") == 1, "{files:?}");
    for file in &files {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let pem = fs::read_to_string(stage.place.pem()).unwrap();
    assert_eq!(pem.matches("PRIVATE KEY-----").count(), 2, "one key");
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2, "the whole chain");
    let key: Vec<&str> = pem.lines().filter(|it| it.len() > 40).collect();
    let said = gateway.said();
    assert!(!key.iter().any(|line| said.contains(line)), "keys are in the log");
    assert!(!said.contains(EAB_KEY));
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let inside = |it: PathBuf| if it.is_dir() { files_in(&it) } else { vec![it] };
    fs::read_dir(folder).unwrap().flat_map(|it| inside(it.unwrap().path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_hook_that_writes_names() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    write_hook(stage.folder.path(), &stage.pebble.names, "");
    let wish = Wish { webhook_host: Some(HOOKS), ..Wish::by_hook() };
    let gateway = served_soon(&stage, &wish, &[HOST, HOOKS], "dns-01").await;
    assert_orders(&stage, &gateway, 2).await;
    eventually("the hook tidies up", async || {
        let mut calls = hook_calls(stage.folder.path());
        calls.sort();
        let expected = [
            "cleanup _acme-challenge.hooks.n8n.test.",
            "cleanup _acme-challenge.n8n.test.",
            "present _acme-challenge.hooks.n8n.test.",
            "present _acme-challenge.n8n.test.",
        ];
        (calls == expected).then_some(())
    })
    .await;
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_signed_updates_of_names() {
    let _turn = turn().await;
    let mut stage = Stage::set(Options::default()).await;
    let bind = Bind::start(stage.folder.path()).await;
    stage.pebble.up_with(bind.port()).await;
    fs::write(stage.folder.path().join("tsig.key"), bind.secret()).unwrap();
    let acme = format!(
        "dns: {{ rfc2136: {{ server: \"127.0.0.1:{}\", zone: n8n.test, key_name: gw, \
         algorithm: hmac-sha256, secret: \"${{file:tsig.key}}\" }}, propagation: 1s }}",
        bind.port()
    );
    let wish = Wish { challenges: "dns-01", plain: false, acme, ..Wish::default() };
    let gateway = served_soon(&stage, &wish, &[HOST], "dns-01").await;
    assert_orders(&stage, &gateway, 1).await;
    eventually("the record is taken away", async || {
        let updates = bind.updates();
        let is = |what: &str| updates.iter().any(|it| it.contains(what));
        let name = "'_acme-challenge.n8n.test'";
        (is(&format!("adding an RR at {name} TXT")) && is("deleting")).then_some(())
    })
    .await;
    assert!(!gateway.said().contains(bind.secret()), "the secret is in the log");
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_hosts_and_an_address() {
    let _turn = turn().await;
    let stage = Stage::start(Options::default()).await;
    let wish = Wish { webhook_host: Some(HOOKS), ..Wish::default() };
    let gateway = served_soon(&stage, &wish, &[HOST, HOOKS], "tls-alpn-01").await;
    let [first, second] = [HOST, HOOKS].map(|host| look(gateway.port(), host));
    assert_ne!(first.await.leaf, second.await.leaf);
    assert_orders(&stage, &gateway, 2).await;
    gateway.kill().await;

    for by in ["tls-alpn-01", "http-01"] {
        step("an address has a certificate of its own");
        let stage = Stage::start(Options::default()).await;
        let wish = Wish { host: "127.0.0.1", challenges: by, ..Wish::default() };
        let gateway = served_soon(&stage, &wish, &[wish.host], by).await;
        assert_orders(&stage, &gateway, 1).await;
        gateway.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_served_before_and_through_it() {
    let _turn = turn().await;
    let mut stage = Stage::set(Options::default()).await;
    let gateway = stage.gateway(&Wish::default()).await;

    step("the directory is down");
    let told = gateway.event("certificate_temporary", |_| true).await;
    assert_eq!(told["hosts"], serde_json::json!([HOST]), "{told}");
    let listed = certificate(&gateway, HOST).await.unwrap();
    assert_eq!(listed["state"], "temporary", "{listed}");
    let temporary = metric_of(&gateway, "gateway_tls_certificate_temporary", HOST).await;
    assert!((temporary - 1.0).abs() < f64::EPSILON, "{temporary}");
    let failed = gateway.event("certificate_failed", |it| it["host"] == HOST).await;
    assert!(failed["next_attempt"].as_i64().unwrap() > now() - 60, "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("refused"), "{failed}");
    let before = look(gateway.port(), HOST).await;

    step("the directory is up");
    let caller = Caller::start(gateway.port(), HOST);
    stage.pebble.up().await;
    let began = Instant::now();
    renewed(&gateway, HOST).await;
    println!("-- after {:.1} s", began.elapsed().as_secs_f64());
    until_valid(&gateway, HOST).await;
    let after = stage.sees_valid(&gateway, HOST).await;
    eventually("a few calls more", async || {
        (look(gateway.port(), HOST).await.leaf == after.leaf).then_some(())
    })
    .await;
    let calls = caller.end().await;
    println!("-- {} calls", calls.answered);
    assert!(calls.failed.is_empty() && calls.answered > 10, "{calls:?}");
    assert_eq!(calls.leaves, [before.leaf, after.leaf]);
    gateway.kill().await;
}

/// The directory comes from anywhere, and answers come before every decision about who may enter.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_has_to_be_let_in() {
    let _turn = turn().await;
    for by in ["tls-alpn-01", "http-01"] {
        step("everybody is denied");
        let stage = Stage::start(Options::default()).await;
        let rest = "networks: { all: [0.0.0.0/0, \"::/0\"] }\n\
                    access: { editor: nobody }\ndeny: [all]";
        let wish = Wish { challenges: by, rest, ..Wish::default() };
        let gateway = served_soon(&stage, &wish, &[HOST], by).await;
        let root = stage.pebble.root().await;
        let client = Client::new(TEAM, HOST, gateway.port(), &root);
        for path in ["/", "/webhook/x", "/.well-known/acme-challenge/x"] {
            client.send(Request::get(path), "").await.is(404);
        }
        gateway.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_does_not_keep_the_directory_out() {
    let _turn = turn().await;
    for by in ["tls-alpn-01", "http-01"] {
        step(by);
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path());
        let to = |port| Relay::start((Ipv4Addr::LOCALHOST, 0), STRANGER, port);
        let [http, https] = [to(place.http()).await, to(place.https()).await];
        let mut stage = Stage::set_behind((http.port(), https.port()), place, folder).await;
        let gateway = stage.gateway(&Wish { challenges: by, ..Wish::default() }).await;
        let add = ["add", "127.0.0.2", "--for", "1h", "--reason", "test"];
        let (done, added) = gateway.bans(&add).await;
        assert!(done, "{added}");
        let banned = Client::new(STRANGER, HOST, gateway.port(), &stage.pebble.authority());
        assert!(banned.is_dropped().await);

        step("the directory comes up, and by way of an address that is banned");
        stage.pebble.up().await;
        renewed(&gateway, HOST).await;
        let issued = gateway.event("certificate_issued", |_| true).await;
        assert_eq!(issued["challenge"], by, "{issued}");
        assert!(banned.is_dropped().await, "but for a challenge the ban holds");
        gateway.kill().await;
    }
}
