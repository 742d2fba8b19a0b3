//! Certificates from a CA, through the whole gateway: what a CA looks for is answered before any rule,
//! and a new certificate takes the place of another without a word.

use std::{sync::Arc, time::Duration};

use gateway_certs::{Clock, Outcome, shown};
use gateway_testkit::{
    AnyCertificate, Authorities, FakeAuthority, Gateway, MovedClock,
    authority::{Endpoint, Trouble},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

/// From where the CA looks; see [`Gateway::start_certified`].
const CA: &str = "198.51.100.80";

const POLICY: &str = "\
version: 1
site: { host: n8n.test }
tls: { acme: { email: ops@example.com, directories: [\"https://ca.test/directory\"] } }
networks: { team: [192.0.2.0/24], abroad: [198.51.100.0/24] }
access: { editor: team }
deny: [abroad]
bans: { jails: { protocol: { max_retry: 1, ban_time: 1w } } }
state: { dir: state }
";

fn authorities() -> (FakeAuthority, Authorities) {
    let clock: Arc<dyn Clock> = Arc::new(MovedClock::default());
    let ca = FakeAuthority::new(Arc::clone(&clock));
    (ca.clone(), Authorities { all: vec![ca], clock })
}

async fn issuer(gateway: &Gateway, host: &str) -> String {
    let leaf = shown(gateway.dial("192.0.2.1"), host).await.unwrap();
    let known = gateway.keeping().standings().into_iter().find(|it| it.host == host).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    assert_eq!(leaf.issuer().to_string(), known.issuer, "what is shown is what is said");
    known.issuer
}

async fn issued(gateway: &Gateway, count: usize) {
    for _ in 0..600 {
        let done = gateway.log().iter().filter(|it| it["event"] == "certificate_issued").count();
        if done >= count {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("{:#?}", gateway.log());
}

#[tokio::test(start_paused = true)]
async fn a_ca_is_answered_although_it_is_denied_and_banned() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let (ca, authorities) = authorities();
        ca.challenges(&[challenge]);
        ca.misbehave(|it| it.everywhere = Some(Trouble::Down));
        let open = POLICY.replace("deny: [abroad]\n", "");
        let mut gateway = Gateway::start_certified(&open, &authorities).unwrap();
        gateway.trust(&ca.root());
        assert!(issuer(&gateway, "n8n.test").await.contains("temporary"));
        ban(&gateway, CA).await;
        assert_eq!(gateway.reload(POLICY).problems, [""; 0]);
        assert!(is_dropped(&gateway, CA).await, "banned");
        ca.behave();
        ca.challenges(&[challenge]);
        issued(&gateway, 1).await;
        assert!(issuer(&gateway, "n8n.test").await.contains("ca.test"));
        assert_eq!(ca.seen().validations_by(challenge), 1);
        assert!(is_dropped(&gateway, CA).await, "and still is");
        let answer = gateway.ask("192.0.2.1", "GET /").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Makes `address` banned: it sends what is no HTTP.
async fn ban(gateway: &Gateway, address: &str) {
    let mut io = gateway.dial_http(address);
    io.write_all(b"\x16\x03\x01 what is this\r\n\r\n").await.unwrap();
    drop(io.read_to_end(&mut Vec::new()).await);
    sleep(Duration::from_secs(1)).await;
    assert!(gateway.log().iter().any(|it| it["event"] == "banned"), "{:#?}", gateway.log());
}

/// Whether a connection is closed before a byte came back.
async fn is_dropped(gateway: &Gateway, from: &str) -> bool {
    let mut io = gateway.dial_http(from);
    let sent = io.write_all(b"GET / HTTP/1.1\r\nHost: n8n.test\r\n\r\n").await;
    let mut answer = [0; 1];
    sent.is_err() || matches!(io.read(&mut answer).await, Ok(0) | Err(_))
}

/// What port 80 answers to `from`.
async fn port_80(gateway: &Gateway, from: &str, path: &str) -> String {
    let mut io = gateway.dial_http(from);
    let request = format!("GET {path} HTTP/1.1\r\nHost: n8n.test\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn while_a_ca_looks_a_banned_client_gets_nothing_else() {
    let (ca, authorities) = authorities();
    // It does not answer when it is told to look, so the answer stays published.
    ca.misbehave(|it| it.at = [(Endpoint::Challenge, Trouble::Hangs)].into());
    let gateway = Gateway::start_certified(POLICY, &authorities).unwrap();
    ban(&gateway, "203.0.113.66").await;
    sleep(Duration::from_secs(5)).await;
    let there = "/.well-known/acme-challenge/nothing";
    for path in ["/", there, "/.well-known/acme-challenge/"] {
        let answer = port_80(&gateway, "203.0.113.66", path).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    // By TLS it comes no further than its hello.
    assert!(shown(gateway.dial("203.0.113.66"), "n8n.test").await.is_err());
    assert!(shown(gateway.dial("203.0.113.5"), "n8n.test").await.is_ok());
    // Nor with another protocol beside the challenge's.
    gateway.trust(&ca.root());
    for protocols in [&["h2", "acme-tls/1"][..], &["acme-tls/1", "http/1.1"], &["acme-tls/1"]] {
        let io = gateway.dial("203.0.113.66");
        assert!(!is_served(io, protocols).await, "{protocols:?}");
    }
    assert!(is_served(gateway.dial("203.0.113.5"), &["h2", "acme-tls/1"]).await);
    // Others get what they always get: a redirect, and n8n's own answer.
    let answer = port_80(&gateway, "203.0.113.5", there).await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
}

/// Whether a handshake with these protocols leads to HTTP/2: its server speaks first.
async fn is_served(io: tokio::io::DuplexStream, protocols: &[&str]) -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let Ok(mut io) = connector.connect("n8n.test".try_into().unwrap(), io).await else {
        return false;
    };
    let mut byte = [0];
    matches!(io.read(&mut byte).await, Ok(1))
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_good_stands_in_until_a_ca_has_issued_one() {
    let (ca, authorities) = authorities();
    ca.misbehave(|it| it.everywhere = Some(Trouble::Down));
    // What an operator had in files before.
    let own = "tls: { certificate: { chain: own.pem, key: own.key } }";
    let files = POLICY.replace(POLICY.lines().nth(2).unwrap(), own);
    let mut gateway = Gateway::start_certified(POLICY, &authorities).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["n8n.test".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "bought");
    let made = params.self_signed(&key).unwrap();
    std::fs::write(gateway.folder().join("own.pem"), made.pem()).unwrap();
    std::fs::write(gateway.folder().join("own.key"), key.serialize_pem()).unwrap();
    assert_eq!(gateway.reload(&files).problems, [""; 0]);
    assert!(gateway.telemetry.exposition().contains("temporary{host=\"n8n.test\"} 0"));
    assert_eq!(gateway.reload(POLICY).problems, [""; 0]);
    sleep(Duration::from_secs(60)).await;
    let shown_now = shown(gateway.dial("192.0.2.1"), "n8n.test").await.unwrap();
    assert_eq!(shown_now.as_ref(), made.der().as_ref(), "and no temporary one");
    assert!(gateway.telemetry.exposition().contains("temporary{host=\"n8n.test\"} 1"));
    ca.behave();
    issued(&gateway, 1).await;
    assert!(issuer(&gateway, "n8n.test").await.contains("ca.test"));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_for_a_challenge_that_nobody_has_comes_to_nothing() {
    let (ca, authorities) = authorities();
    let gateway = Gateway::start_certified(POLICY, &authorities).unwrap();
    issued(&gateway, 1).await;
    gateway.trust(&ca.root());
    let io = gateway.secure(gateway.dial("192.0.2.1"), "n8n.test", "acme-tls/1").await;
    assert!(io.is_err());
    assert!(gateway.secure(gateway.dial("192.0.2.1"), "n8n.test", "h2").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_certificate_drops_nothing() {
    let (ca, authorities) = authorities();
    let gateway = Gateway::start_certified(POLICY, &authorities).unwrap();
    issued(&gateway, 1).await;
    gateway.trust(&ca.root());
    let (mut one, mut two) =
        (gateway.client("192.0.2.1").await, gateway.client_h2("192.0.2.1").await);
    assert_eq!(one.ask("GET /").await.status, 200);
    ca.new_root();
    let done = gateway.keeping().renew(None, "a test").await.unwrap();
    assert_eq!(done, [Outcome { host: "n8n.test".to_owned(), error: None }]);
    for client in [&mut one, &mut two] {
        assert_eq!(client.ask("GET /").await.status, 200, "on the old connection");
    }
    assert!(issuer(&gateway, "n8n.test").await.contains("intermediate 2"));
    let not_served = gateway.log().iter().any(|it| it["event"] == "certificate_not_served");
    assert!(!not_served, "it looked into the mirror");
}

#[tokio::test(start_paused = true)]
async fn hosts_come_and_go_by_a_reload() {
    let (_, authorities) = authorities();
    let mut gateway = Gateway::start_certified(POLICY, &authorities).unwrap();
    issued(&gateway, 1).await;
    let both = POLICY.replace("host: n8n.test", "host: n8n.test, webhook_host: hooks.test");
    assert_eq!(gateway.reload(&both).problems, [""; 0]);
    issued(&gateway, 2).await;
    assert!(issuer(&gateway, "hooks.test").await.contains("ca.test"));
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_tls_certificate_not_after_seconds{host=\"hooks.test\"}"));
    assert_eq!(gateway.reload(POLICY).problems, [""; 0]);
    sleep(Duration::from_secs(1)).await;
    let metrics = gateway.telemetry.exposition();
    assert!(!metrics.contains("hooks.test"), "{metrics}");
    // To an authority of this machine's own and back: the CA is not asked again.
    let own = POLICY.replace(POLICY.lines().nth(2).unwrap(), "tls: { self_signed: true }");
    assert_eq!(gateway.reload(&own).problems, [""; 0]);
    let leaf = shown(gateway.dial("192.0.2.1"), "n8n.test").await.unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    assert!(leaf.issuer().to_string().contains("development CA"));
    assert_eq!(gateway.reload(POLICY).problems, [""; 0]);
    sleep(Duration::from_secs(1)).await;
    assert!(issuer(&gateway, "n8n.test").await.contains("ca.test"));
    assert_eq!(authorities.all[0].seen().orders.len(), 2);
}

#[tokio::test]
async fn the_strongest_key_exchange_comes_first() {
    let gateway = Gateway::start(gateway_testkit::POLICY).unwrap();
    let io = gateway.secure(gateway.dial("192.0.2.1"), "n8n.test", "h2").await.unwrap();
    let group = io.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let old = &[&rustls::version::TLS12];
    let dial = || gateway.dial("192.0.2.1");
    let io = gateway.secure_with(dial(), "n8n.test", "h2", old).await.unwrap();
    let suite = io.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    let name = format!("{suite:?}");
    assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
}
