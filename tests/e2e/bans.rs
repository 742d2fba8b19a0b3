//! Bans: where they are enforced, whom they never meet, what a dry run does, and what survives.

use std::time::Duration;

use gateway_testkit::{Client, Gateway, POLICY};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

const STRANGER: &str = "203.0.113.66";

/// A policy that bans at the second probe.
fn policy(more: &str) -> String {
    format!(
        "{POLICY}bans:\n  jails: {{ scan: {{ max_retry: 2 }}, protocol: {{ max_retry: 2 }} }}\n{more}"
    )
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

async fn probe(gateway: &Gateway, from: &str) {
    for path in ["GET /.env", "GET /wp-login.php"] {
        gateway.ask(from, path).await;
    }
}

async fn is_dropped(gateway: &Gateway, from: &str) -> bool {
    gateway.secure(gateway.dial(from), "n8n.test", "h2").await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_banned_peer_is_dropped_before_tls_and_let_in_when_the_ban_ends() {
    let gateway = Gateway::start(&policy("")).unwrap();
    probe(&gateway, STRANGER).await;
    let mut io = gateway.dial(STRANGER);
    let mut byte = [0];
    assert_eq!(io.read(&mut byte).await.unwrap(), 0, "closed without a byte");
    let mut clear = gateway.dial_http(STRANGER);
    assert_eq!(clear.read(&mut byte).await.unwrap(), 0, "on port 80 as well");
    let metrics = gateway.telemetry.exposition();
    for line in [
        "gateway_connections_refused_total{reason=\"banned\"} 2\n",
        "gateway_jail_failed_total{jail=\"scan\"} 2\n",
        "gateway_jail_banned_current{jail=\"scan\"} 1\n",
        "gateway_jail_banned_total{jail=\"scan\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    sleep(Duration::from_secs(3601)).await;
    gateway.guard().sweep();
    assert!(!is_dropped(&gateway, STRANGER).await);
    assert!(gateway.telemetry.exposition().contains("banned_current{jail=\"scan\"} 0\n"));
    assert_eq!(events(&gateway, "unbanned")[0]["because"], "time");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_older_than_the_ban_ends_with_it() {
    let gateway = Gateway::start(&policy("")).unwrap();
    let (mut h1, mut h2) = (gateway.client(STRANGER).await, gateway.client_h2(STRANGER).await);
    assert_eq!(h1.ask("GET /webhook/x").await.status, StatusCode::OK);
    probe(&gateway, STRANGER).await;
    let seen = gateway.n8n.seen().len();
    let refused = h1.ask("GET /webhook/x").await;
    assert_eq!((refused.status, refused.header("connection")), (StatusCode::FORBIDDEN, "close"));
    assert_eq!(h2.ask("GET /webhook/x").await.status, StatusCode::FORBIDDEN);
    let request = Gateway::request("GET /webhook/x", "");
    assert!(h2.send(request).await.is_err(), "told to go away");
    assert_eq!(gateway.n8n.seen().len(), seen);
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_webhooks_are_taken_is_kept_from_everything_else_alone() {
    let gateway = Gateway::start(&policy("")).unwrap();
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/stripe").await.status, StatusCode::OK);
    // A slip in an address, again and again.
    probe(&gateway, STRANGER).await;
    assert_eq!(events(&gateway, "banned").len(), 1);
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/stripe").await.status, StatusCode::OK);
    assert_eq!(gateway.ask(STRANGER, "GET /.env").await.status, StatusCode::FORBIDDEN);
    assert_eq!(gateway.ask(STRANGER, "GET /").await.status, StatusCode::FORBIDDEN);
    // The operator's ban is meant.
    let sender = "203.0.113.68";
    gateway.ask(sender, "POST /webhook/stripe").await;
    for n in 0..3 {
        gateway.ask(sender, "POST /rest/e2e/reset").await;
        assert_eq!(is_dropped(&gateway, sender).await, n == 2, "an attack is no slip");
    }
    // Whose webhooks were never taken is dropped.
    gateway.ask("203.0.113.67", "POST /webhook/deactivated").await;
    probe(&gateway, "203.0.113.67").await;
    assert!(is_dropped(&gateway, "203.0.113.67").await);
}

#[tokio::test(start_paused = true)]
async fn many_probes_at_once_are_one_ban() {
    let gateway = Gateway::start(&policy("")).unwrap();
    let clients = (0..20).map(|_| gateway.client(STRANGER));
    let clients = futures_util::future::join_all(clients).await;
    let probes = clients.into_iter().map(|mut client| async move {
        client.ask("GET /.env").await;
    });
    futures_util::future::join_all(probes).await;
    let banned = events(&gateway, "banned");
    assert_eq!((banned.len(), &banned[0]["jail"]), (1, &json!("scan")));
}

#[tokio::test(start_paused = true)]
async fn behind_a_trusted_proxy_the_client_is_banned_and_not_the_proxy() {
    let more = "clients: { trusted_proxies: [10.0.0.0/8] }\n";
    let gateway = Gateway::start(&policy(more)).unwrap();
    let asked = |client: &str, line: &str| format!("{line}\nx-forwarded-for: {client}");
    for path in ["GET /.env", "GET /x.php"] {
        gateway.ask("10.0.0.1", &asked(STRANGER, path)).await;
    }
    let refused = gateway.ask("10.0.0.1", &asked(STRANGER, "GET /webhook/x")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let id = refused.header("x-request-id");
    let said: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(said, json!({ "code": 403, "message": "Not from here.", "requestId": id }));
    let other = gateway.ask("10.0.0.1", &asked("203.0.113.7", "GET /webhook/x")).await;
    assert_eq!(other.status, StatusCode::OK);
    // The proxy's own doings are held against nobody.
    probe(&gateway, "10.0.0.1").await;
    probe(&gateway, "10.0.0.1").await;
    assert!(!is_dropped(&gateway, "10.0.0.1").await);
    assert_eq!(events(&gateway, "banned").len(), 1);
    // What was refused does not make the ban longer.
    assert_eq!(events(&gateway, "offence").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_never_banned_is_not_even_counted() {
    let gateway = Gateway::start(&policy("  never: [team]\n")).unwrap();
    for from in ["192.0.2.1", "127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        probe(&gateway, from).await;
        probe(&gateway, from).await;
        assert!(!is_dropped(&gateway, from).await, "{from}");
    }
    assert!(events(&gateway, "offence").is_empty());
    probe(&gateway, "127.0.0.2").await;
    assert!(is_dropped(&gateway, "127.0.0.2").await, "a stranger");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_an_offence() {
    let gateway = Gateway::start(&policy("")).unwrap();
    for _ in 0..2 {
        let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
        io.write_all(b"\x16\x03\x01 rubbish\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // However the connection ends, it ends.
        drop(io.read_to_end(&mut rest).await);
    }
    sleep(Duration::from_millis(10)).await;
    assert!(is_dropped(&gateway, STRANGER).await);
    assert_eq!(events(&gateway, "banned")[0]["jail"], "protocol");
}

#[tokio::test(start_paused = true)]
async fn in_a_dry_run_everything_is_told_and_nothing_refused() {
    let gateway = Gateway::start(&policy("mode: dry-run\n")).unwrap();
    let closed = gateway.ask(STRANGER, "GET /rest/settings").await;
    assert_eq!(closed.status, StatusCode::OK);
    for _ in 0..3 {
        probe(&gateway, STRANGER).await;
    }
    assert!(!is_dropped(&gateway, STRANGER).await);
    assert_eq!(events(&gateway, "would_ban").len(), 3);
    assert!(events(&gateway, "banned").is_empty());
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_jail_would_ban_total{jail=\"scan\"} 3\n"));
    assert!(metrics.contains("would_refuse_total{reason=\"closed\",surface=\"rest\"} 1\n"));
}

#[tokio::test(start_paused = true)]
async fn one_jail_can_be_dry_and_one_closed() {
    let jails =
        "bans: { jails: { scan: { max_retry: 1, dry_run: true }, attack: { enabled: false } } }\n";
    let gateway = Gateway::start(&format!("{POLICY}{jails}")).unwrap();
    probe(&gateway, STRANGER).await;
    for _ in 0..5 {
        gateway.ask(STRANGER, "POST /rest/e2e/reset").await;
    }
    assert!(!is_dropped(&gateway, STRANGER).await);
    assert_eq!(events(&gateway, "would_ban").len(), 2);
    assert_eq!(events(&gateway, "offence").len(), 2, "nothing is counted in a closed jail");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_shuts_everybody_out_needs_force() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let elsewhere = POLICY.replace("192.0.2.0/24", "198.51.100.0/24");
    assert_eq!(gateway.reload(&elsewhere).outcome.name(), "applied", "nobody has signed in yet");
    gateway.reload(POLICY);
    let mut client: Client = gateway.client("192.0.2.1").await;
    let form = json!({ "emailOrLdapLoginId": "owner@example.com", "password": "right" });
    let lines = "POST /rest/login\ncontent-type: application/json";
    assert_eq!(client.ask_with(lines, form.to_string()).await.status, StatusCode::OK);
    let refused = gateway.reload(&elsewhere);
    assert_eq!(refused.outcome.name(), "locks_out");
    assert!(refused.problems[0].contains("192.0.2.1"), "{:?}", refused.problems);
    assert!(refused.problems[0].contains("reload --force"), "{:?}", refused.problems);
    assert_eq!(gateway.ask("192.0.2.1", "GET /").await.status, StatusCode::OK, "still in force");
    assert_eq!(gateway.force(&elsewhere).outcome.name(), "applied");
    assert_eq!(gateway.ask("192.0.2.1", "GET /").await.status, StatusCode::NOT_FOUND);
    // A day later it is nobody's slip any more.
    gateway.force(POLICY);
    sleep(Duration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(gateway.reload(&elsewhere).outcome.name(), "applied");
}

#[tokio::test(start_paused = true)]
async fn bans_outlive_a_reload_and_their_jail() {
    let mut gateway = Gateway::start(&policy("")).unwrap();
    probe(&gateway, STRANGER).await;
    gateway.reload(&format!("{POLICY}bans: {{ jails: {{ scan: {{ enabled: false }} }} }}\n"));
    assert!(is_dropped(&gateway, STRANGER).await);
    gateway.reload(&format!("{POLICY}networks_: {{}}\n"));
    assert!(is_dropped(&gateway, STRANGER).await, "a bad policy changes nothing");
}

#[tokio::test(start_paused = true)]
async fn without_a_disk_bans_hold_and_somebody_is_told() {
    let gateway = Gateway::start_without_disk(&policy("")).unwrap();
    assert_eq!(events(&gateway, "state_write_failed").len(), 1, "at the start");
    probe(&gateway, STRANGER).await;
    assert!(is_dropped(&gateway, STRANGER).await);
    let other = gateway.ask("203.0.113.7", "GET /webhook/x").await;
    assert_eq!(other.status, StatusCode::OK);
    let failures = "gateway_state_write_failures_total";
    let count = |gateway: &Gateway| {
        let metrics = gateway.telemetry.exposition();
        let line = metrics.lines().find_map(|it| it.strip_prefix(failures)).unwrap();
        line.trim().parse::<u32>().unwrap()
    };
    let before = count(&gateway);
    assert!(before >= 1, "{before}");
    sleep(Duration::from_secs(6)).await;
    assert!(count(&gateway) > before, "it is tried again");
    gateway.give_disk();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(events(&gateway, "state_recovered").len(), 1);
    assert!(gateway.folder().join("state/state.db").exists());
}
