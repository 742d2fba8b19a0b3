//! Certificates of clients: asked for, never required, and what they open.

use std::{sync::Arc, time::Duration};

use gateway_testkit::{Authority, Client, ClientIdentity, Gateway, POLICY, Response};
use http::StatusCode;
use rcgen::{CustomExtension, date_time_ymd};
use rustls::{HandshakeKind, SupportedProtocolVersion, version};
use serde_json::Value;
use tokio::time::{sleep, timeout};

const TEAM: &str = "192.0.2.1";
const STRANGER: &str = "203.0.113.9";

type Versions = &'static [&'static SupportedProtocolVersion];

const TLS_1_2: Versions = &[&version::TLS12];
const TLS_1_3: Versions = &[&version::TLS13];
const HTTP_1: &str = "http/1.1";

/// Every way a request can come.
const WAYS: [(&str, Versions); 4] =
    [(HTTP_1, TLS_1_2), (HTTP_1, TLS_1_3), ("h2", TLS_1_2), ("h2", TLS_1_3)];

/// A gateway whose editor is for `editor`, with `team-ca.pem` and `ops-ca.pem` beside its policy.
fn start(editor: &str, team: &Authority, ops: &Authority) -> Gateway {
    let mut gateway = Gateway::start(POLICY).unwrap();
    for (file, authority) in [("team-ca.pem", team), ("ops-ca.pem", ops)] {
        std::fs::write(gateway.folder().join(file), authority.pem()).unwrap();
    }
    assert_eq!(gateway.reload(&policy(editor)).outcome.name(), "applied");
    gateway
}

fn policy(editor: &str) -> String {
    POLICY.replace("editor: team", &format!("editor: {editor}"))
}

fn authorities() -> (Authority, Authority) {
    (Authority::new("Team CA"), Authority::new("Ops CA"))
}

/// A certificate of `authority` that cannot be checked, since what it says must not be ignored is
/// not understood.
fn odd(authority: &Authority) -> Arc<ClientIdentity> {
    authority.issue_with("alice", |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    })
}

async fn ask(
    gateway: &Gateway,
    from: &str,
    shows: Option<&Arc<ClientIdentity>>,
    lines: &str,
) -> Response {
    let config = gateway.client_config(HTTP_1, TLS_1_3, shows);
    gateway.client_as(from, &config).await.ask(lines).await
}

/// The access record of `answer`.
async fn record(gateway: &Gateway, answer: &Response) -> Value {
    let id = answer.header("x-request-id");
    loop {
        let log = gateway.log().into_iter();
        let mut records = log.filter(|line| line["event"] == "access");
        if let Some(record) = records.find(|line| line["request_id"] == id) {
            return record;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the connection comes to its end without being asked.
async fn ends(client: &mut Client) -> bool {
    let ending = async {
        while client.send(Gateway::request("GET https://n8n.test/webhook/x", "")).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), ending).await.is_ok()
}

#[tokio::test]
async fn a_certificate_of_the_authority_opens_what_asks_for_it_and_no_other_does() {
    let (team, ops) = authorities();
    let gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let (good, others) = (team.issue("alice"), ops.issue("alice"));
    let (own, expired) = (ClientIdentity::own("alice"), team.issue_with("alice", past));
    let (namesake, odd) = (Authority::new("Team CA").issue("alice"), odd(&team));
    for (alpn, versions) in WAYS {
        for (shows, status) in [
            (None, 403),
            (Some(&others), 403),
            (Some(&own), 403),
            (Some(&expired), 403),
            (Some(&namesake), 403),
            (Some(&odd), 403),
            (Some(&good), 200),
        ] {
            let what = format!("{alpn} {versions:?} {shows:?}");
            let config = gateway.client_config(alpn, versions, shows);
            let before = gateway.n8n.connections();
            let mut client = gateway.client_as(STRANGER, &config).await;
            let answer = client.ask("GET /rest/settings\naccept: text/html").await;
            assert_eq!(answer.status, status, "{what}");
            let record = record(&gateway, &answer).await;
            let http = if alpn == "h2" { "2" } else { "1.1" };
            assert_eq!(record["http"], http, "{what}");
            assert_eq!(record["tls"], if versions == TLS_1_2 { "1.2" } else { "1.3" }, "{what}");
            if status == 200 {
                assert_eq!(record["client_certificate"], "CN=alice", "{what}");
                assert_eq!(client.ask("GET /").await.status, 200, "the connection goes on");
                continue;
            }
            assert!(record.get("client_certificate").is_none(), "{what}: {record}");
            assert_eq!(record["reason"], "client_certificate", "{what}");
            assert!(answer.body.contains("<p>A client certificate is needed here.</p>"), "{what}");
            assert_eq!(gateway.n8n.connections(), before, "{what}");
            let close = if alpn == "h2" { "" } else { "close" };
            assert_eq!(answer.header("connection"), close, "{what}");
            assert!(ends(&mut client).await, "{what}: so that it can choose anew");

            // Whoever always shows a certificate of their own can still send webhooks.
            let mut client = gateway.client_as(STRANGER, &config).await;
            assert_eq!(client.ask("POST /webhook/x").await.status, 200, "{what}");
        }
    }
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_tls_handshakes_failed_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn whoever_shows_a_certificate_must_have_its_key() {
    let (team, ops) = authorities();
    let gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    for stolen in [team.issue("alice").stolen(), odd(&team).stolen()] {
        for versions in [TLS_1_2, TLS_1_3] {
            let config = gateway.client_config(HTTP_1, versions, Some(&stolen));
            // With TLS 1.3 the client is done before the gateway has looked.
            if let Ok(io) = gateway.secure_as(STRANGER, &config).await {
                let mut client = gateway.speak(io).await;
                let sent = client.send(Gateway::request("POST /webhook/x", "")).await;
                assert!(sent.is_err(), "{sent:?}");
            }
        }
    }
    assert_eq!(gateway.n8n.connections(), 0);
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_tls_handshakes_failed_total 4\n"), "{metrics}");
}

#[tokio::test]
async fn networks_beside_an_authority_are_and_a_list_is_or() {
    let (team, ops) = authorities();
    let (of_team, of_ops) = (team.issue("alice"), ops.issue("bob"));
    let gateway = start(
        "{ client_ca: team-ca.pem, networks: [team] }, rest: [team, { client_ca: ops-ca.pem }]",
        &team,
        &ops,
    );
    for (from, shows, editor, rest) in [
        (TEAM, None, 403, 200),
        (TEAM, Some(&of_team), 200, 200),
        (TEAM, Some(&of_ops), 403, 200),
        (STRANGER, None, 404, 403),
        (STRANGER, Some(&of_team), 404, 403),
        (STRANGER, Some(&of_ops), 404, 200),
    ] {
        let answer = ask(&gateway, from, shows, "GET /").await;
        assert_eq!(answer.status, editor, "{from} {shows:?}");
        // What follows the editor follows it in this, too.
        let sign_in = ask(&gateway, from, shows, "GET /rest/login").await;
        let n8ns = if editor == 200 { 401 } else { editor };
        assert_eq!(sign_in.status, n8ns, "{from} {shows:?}");
        let answer = ask(&gateway, from, shows, "GET /rest/workflows").await;
        assert_eq!(answer.status, rest, "{from} {shows:?}");
    }
    // Nothing tells a stranger that a certificate is of any use.
    let closed = ask(&gateway, STRANGER, Some(&of_team), "GET /").await;
    let nothing = ask(&gateway, STRANGER, None, "GET /metrics").await;
    let seen = |it: &Response| it.body.replace(it.header("x-request-id"), "");
    assert_eq!(seen(&closed), seen(&nothing));
    assert_eq!(closed.header("connection"), "");
    // Whom an authority vouches for is in the record even where nothing was asked.
    let webhook = ask(&gateway, STRANGER, Some(&of_ops), "POST /webhook/x").await;
    assert_eq!(record(&gateway, &webhook).await["client_certificate"], "CN=bob");
}

#[tokio::test]
async fn clients_are_asked_for_what_the_policy_names_and_otherwise_for_nothing() {
    let (team, ops) = authorities();
    let mut gateway = Gateway::start(POLICY).unwrap();
    let alice = team.issue("alice");
    assert_eq!(ask(&gateway, TEAM, Some(&alice), "GET /").await.status, 200);
    assert_eq!(alice.asked(), None);
    std::fs::write(gateway.folder().join("ca.pem"), [team.pem(), ops.pem()].concat()).unwrap();
    let asking = policy("[{ client_ca: ca.pem }, { client_ca: ca.pem, networks: team }]");
    assert_eq!(gateway.reload(&asking).outcome.name(), "applied");
    for versions in [TLS_1_2, TLS_1_3] {
        let alice = team.issue("alice");
        let config = gateway.client_config(HTTP_1, versions, Some(&alice));
        assert_eq!(gateway.client_as(STRANGER, &config).await.ask("GET /").await.status, 200);
        let names = alice.asked().unwrap();
        let is_in = |wanted: &str| {
            names.iter().any(|it| it.windows(wanted.len()).any(|part| part == wanted.as_bytes()))
        };
        assert!(names.len() == 2 && is_in("Team CA") && is_in("Ops CA"), "{names:?}");
    }
}

#[tokio::test]
async fn another_authority_ends_what_the_old_one_opened() {
    let (team, ops) = authorities();
    let alice = team.issue("alice");
    for (alpn, versions) in WAYS {
        let mut gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
        let config = gateway.client_config(alpn, versions, Some(&alice));
        let mut client = gateway.client_as(STRANGER, &config).await;
        assert_eq!(client.ask("GET /").await.status, 200);

        // Another comment in the same file is the same authority.
        let file = gateway.folder().join("team-ca.pem");
        std::fs::write(&file, format!("# ours\n{}", team.pem())).unwrap();
        assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
        assert_eq!(client.ask("GET /").await.status, 200, "{alpn} {versions:?}");
        std::fs::write(&file, "nothing").unwrap();
        assert_eq!(gateway.look().unwrap().outcome.name(), "invalid");
        assert_eq!(client.ask("GET /").await.status, 200, "a broken file changes nothing");

        std::fs::write(&file, Authority::new("Team CA").pem()).unwrap();
        assert_eq!(gateway.look().unwrap().outcome.name(), "applied");
        assert_eq!(client.ask("GET /").await.status, 403, "{alpn} {versions:?}");
        assert!(ends(&mut client).await, "{alpn} {versions:?}");
        let io = gateway.secure_as(STRANGER, &config).await.unwrap();
        assert_eq!(io.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "no old ticket");
        assert_eq!(gateway.speak(io).await.ask("GET /").await.status, 403);
    }
}

#[tokio::test]
async fn a_resumed_session_still_has_its_certificate() {
    let (team, ops) = authorities();
    let gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    for (alpn, versions) in WAYS {
        for (shows, status) in [(team.issue("alice"), 200), (ops.issue("bob"), 403)] {
            let config = gateway.client_config(alpn, versions, Some(&shows));
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let io = gateway.secure_as(STRANGER, &config).await.unwrap();
                let found = io.get_ref().1.handshake_kind();
                assert_eq!(found, Some(kind), "{alpn} {versions:?}");
                // The ticket comes with the first answer, or before.
                let answer = gateway.speak(io).await.ask("GET /").await;
                assert_eq!(answer.status, status, "{alpn} {versions:?} {kind:?}");
                let record = record(&gateway, &answer).await;
                let subject = record.get("client_certificate").and_then(Value::as_str);
                assert_eq!(subject, (status == 200).then_some("CN=alice"), "{record}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_in_a_certificate_forges_no_line_of_the_log() {
    let (team, ops) = authorities();
    let gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    let forged = "x\n{\"event\":\"access\",\"client\":\"192.0.2.9\"}\r\n\u{1b}[2K";
    for identity in [team.issue(forged), ClientIdentity::own(forged)] {
        let answer = ask(&gateway, STRANGER, Some(&identity), "POST /webhook/x").await;
        assert_eq!(answer.status, 200);
        record(&gateway, &answer).await;
    }
    let log = gateway.log();
    let records: Vec<_> = log.iter().filter(|line| line["event"] == "access").collect();
    let [vouched, own] = &records[..] else { panic!("{records:?}") };
    let said = r#"CN=x\0A{\"event\":\"access\"\,\"client\":\"192.0.2.9\"}\0D\0A\1B[2K"#;
    assert_eq!(vouched["client_certificate"], said);
    assert!(own.get("client_certificate").is_none(), "{own}");
    assert!(records.iter().all(|record| record["client"] == STRANGER));
}

#[tokio::test]
async fn a_proxys_connection_is_not_ended_for_one_of_its_clients() {
    let (team, ops) = authorities();
    let mut gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    let behind = format!(
        "{}clients: {{ trusted_proxies: [10.0.0.1] }}\n",
        policy("{ client_ca: team-ca.pem }")
    );
    assert_eq!(gateway.reload(&behind).outcome.name(), "applied");
    for alpn in [HTTP_1, "h2"] {
        let config = gateway.client_config(alpn, TLS_1_3, None);
        let mut proxy = gateway.client_as("10.0.0.1", &config).await;
        for _ in 0..3 {
            let answer = proxy.ask("GET /\nx-forwarded-for: 203.0.113.9").await;
            assert_eq!((answer.status, answer.header("connection")), (StatusCode::FORBIDDEN, ""));
        }
        assert_eq!(proxy.ask("GET /webhook/x\nx-forwarded-for: 192.0.2.9").await.status, 200);
    }
}

#[tokio::test]
async fn a_tunnel_stays_as_long_as_its_certificate_opens_it() {
    use tokio::io::AsyncReadExt;
    const PUSH: &str = "GET /rest/push?pushRef=1\nconnection: Upgrade\nupgrade: websocket\n\
        sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let (team, ops) = authorities();
    let mut gateway = start("{ client_ca: team-ca.pem }", &team, &ops);
    let config = gateway.client_config(HTTP_1, TLS_1_3, Some(&team.issue("alice")));
    let mut client = gateway.client_as(STRANGER, &config).await;
    let response = client.send(Gateway::request(PUSH, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let socket = hyper::upgrade::on(response).await.unwrap();
    let mut socket = hyper_util::rt::TokioIo::new(socket);
    let mut frame = [0; 4];

    let wider = policy("[team, { client_ca: team-ca.pem }]");
    assert_eq!(gateway.reload(&wider).outcome.name(), "applied");
    let quiet = timeout(Duration::from_millis(200), socket.read(&mut frame)).await;
    assert!(quiet.is_err(), "it still opens: {quiet:?} {frame:?}");
    let other = policy("{ client_ca: ops-ca.pem }");
    assert_eq!(gateway.reload(&other).outcome.name(), "applied");
    let closed = timeout(Duration::from_secs(5), socket.read_exact(&mut frame)).await;
    closed.unwrap().unwrap();
    assert_eq!(frame[..2], [0x88, 2], "a close frame");
}
