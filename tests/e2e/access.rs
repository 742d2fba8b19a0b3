//! Who is let through, and that n8n hears of nobody else.

use gateway_n8n::{Surface, Upgrade};
use gateway_testkit::{Gateway, POLICY};

const TEAM: &str = "192.0.2.1";
const STRANGER: &str = "203.0.113.9";

#[tokio::test]
async fn a_refused_request_opens_no_connection_to_n8n() {
    let gateway = Gateway::start(&format!("{POLICY}deny: team\n")).unwrap();
    let refused = [
        (STRANGER, "GET /", 404),
        (STRANGER, "GET /rest/settings", 404),
        (STRANGER, "POST /rest/login", 404),
        (STRANGER, "GET /webhook-test/x", 404),
        (STRANGER, "GET /metrics", 404),
        (STRANGER, "GET //webhook/x", 400),
        (STRANGER, "GET /webhook/x;y", 400),
        (STRANGER, "GET /webhook/x\nhost: evil.test", 421),
        (STRANGER, "GET /webhook/x\nexpect: 200-ok", 417),
        (STRANGER, "POST /webhook/x\ncontent-length: 999999999", 413),
        (TEAM, "GET /webhook/x", 404),
    ];
    for (from, lines, status) in refused {
        if lines.contains("content-length") {
            let mut client = gateway.client(from).await;
            let request = Gateway::request(lines, "").map(|_| Promised);
            assert_eq!(client.send(request).await.unwrap().status(), status, "{lines}");
        } else {
            assert_eq!(gateway.ask(from, lines).await.status, status, "{from} {lines}");
        }
    }
    assert_eq!(gateway.n8n.connections(), 0);
}

/// A body that never comes.
struct Promised;

impl hyper::body::Body for Promised {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn what_is_closed_bears_no_trace_of_n8n() {
    let gateway = Gateway::start(POLICY).unwrap();
    let closed = gateway.ask(STRANGER, "GET /rest/settings\naccept: text/html").await;
    let nothing = gateway.ask(STRANGER, "GET /no/such/thing\naccept: text/html").await;
    assert_eq!(closed.status, 404);
    let all = format!("{:?} {}", closed.headers, closed.body).to_lowercase();
    assert!(!all.contains("n8n"), "{all}");
    let without_id =
        |it: &gateway_testkit::Response| it.body.replace(it.header("x-request-id"), "");
    assert_eq!(without_id(&closed), without_id(&nothing));
}

#[tokio::test]
async fn each_hole_is_open_to_strangers_and_nothing_else() {
    let gateway = Gateway::start(POLICY).unwrap();
    let open =
        ["page-assets", "oauth-callback", "webhook", "webhook-waiting", "form", "form-waiting"];
    for row in Surface::all().map(Surface::row) {
        let socket = row.mounts.first().is_some_and(|mount| mount.upgrade == Upgrade::Only);
        for example in row.examples.iter().filter(|_| !socket) {
            let status = gateway.ask(STRANGER, &format!("GET {example}")).await.status;
            let expected = if open.contains(&row.name) { 200 } else { 404 };
            assert_eq!(status, expected, "{example}");
        }
    }
    let seen: Vec<_> = gateway.n8n.seen().into_iter().map(|seen| seen.target).collect();
    assert!(seen.contains(&"/rest/oauth2-credential/callback".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn percent_encoding_in_a_webhooks_tail_passes_untouched() {
    let gateway = Gateway::start(POLICY).unwrap();
    let target = "/webhook/a%2Fb%20c/%E2%82%AC?q=%2e%2e&x=a+b";
    assert_eq!(gateway.ask(STRANGER, &format!("GET {target}")).await.status, 200);
    assert_eq!(gateway.n8n.seen()[0].target, target);
}

#[tokio::test]
async fn two_hosts_serve_their_own_surfaces_and_the_handshake_must_agree() {
    let policy = POLICY.replace("host: n8n.test", "host: n8n.test, webhook_host: hooks.test");
    let gateway = Gateway::start(&policy).unwrap();
    let ask = async |sni: &str, lines: &str| {
        let io = gateway.secure(gateway.dial(TEAM), sni, "http/1.1").await.unwrap();
        raw(io, &format!("{lines}\r\nconnection: close\r\n\r\n")).await
    };
    let status = async |sni, lines| {
        let answer = ask(sni, lines).await;
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(status("n8n.test", "GET / HTTP/1.1\r\nhost: n8n.test").await, 200);
    assert_eq!(status("hooks.test", "GET / HTTP/1.1\r\nhost: hooks.test").await, 404);
    assert_eq!(status("hooks.test", "GET /webhook/x HTTP/1.1\r\nhost: HOOKS.test:443").await, 200);
    assert_eq!(status("n8n.test", "GET /webhook/x HTTP/1.1\r\nhost: n8n.test").await, 404);
    assert_eq!(status("hooks.test", "GET / HTTP/1.1\r\nhost: n8n.test").await, 421);
    assert_eq!(status("n8n.test", "GET / HTTP/1.1\r\nhost: other.test").await, 421);
    assert_eq!(status("n8n.test", "GET http://n8n.test/ HTTP/1.1\r\nhost: hooks.test").await, 400);
}

/// Sends bytes and reads to the end.
async fn raw(
    mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    text: &str,
) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    io.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    io.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn http_in_clear_redirects_the_policys_hosts_and_nobody_else() {
    let gateway = Gateway::start(POLICY).unwrap();
    let ask = async |lines: &str| {
        raw(gateway.dial_http(STRANGER), &format!("{lines}\r\nconnection: close\r\n\r\n")).await
    };
    let answer = ask("GET /webhook/x?y=1 HTTP/1.1\r\nhost: N8N.test").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains("location: https://n8n.test/webhook/x?y=1\r\n"), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "meaningless in clear: {answer}");
    assert!(ask("GET / HTTP/1.1\r\nhost: evil.test").await.starts_with("HTTP/1.1 421 "));
    let denying = Gateway::start(&format!("{POLICY}deny: team\n")).unwrap();
    let io = denying.dial_http(TEAM);
    let answer = raw(io, "GET / HTTP/1.1\r\nhost: n8n.test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(gateway.n8n.connections(), 0);
}

#[tokio::test]
async fn a_client_is_whom_a_trusted_proxy_names_and_an_ipv4_one_is_one() {
    let policy = format!("{POLICY}clients: {{ trusted_proxies: [10.0.0.0/8, cloudflare] }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let cases = [
        ("10.1.1.1", "x-forwarded-for: 192.0.2.7", 200),
        ("10.1.1.1", "x-forwarded-for: 192.0.2.7, 203.0.113.1", 404),
        ("203.0.113.1", "x-forwarded-for: 192.0.2.7", 404),
        ("::ffff:192.0.2.7", "accept: */*", 200),
        ("104.16.1.1", "cf-connecting-ip: 192.0.2.7", 200),
        ("203.0.113.1", "cf-connecting-ip: 192.0.2.7", 404),
        ("10.1.1.1", "cf-connecting-ip: 192.0.2.7", 404),
    ];
    for (from, field, status) in cases {
        let answer = gateway.ask(from, &format!("GET /rest/settings\n{field}")).await;
        assert_eq!(answer.status, status, "{from} {field}");
    }
}

#[tokio::test]
async fn the_proxy_protocol_is_believed_from_trusted_peers_and_from_nobody_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let policy = format!(
        "{POLICY}clients: {{ trusted_proxies: [10.0.0.1] }}\nlisten: {{ proxy_protocol: true }}\n"
    );
    let gateway = Gateway::start(&policy).unwrap();
    let v2: Vec<u8> = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(),
        &[192, 0, 2, 7, 10, 0, 0, 9, 0x13, 0x88, 1, 0xbb],
    ]
    .concat();
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.9 5000 443\r\n".as_slice(), &v2] {
        let mut io = gateway.dial("10.0.0.1");
        io.write_all(header).await.unwrap();
        let io = gateway.secure(io, "n8n.test", "http/1.1").await.unwrap();
        let answer = raw(io, "GET / HTTP/1.1\r\nhost: n8n.test\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let seen = gateway.n8n.seen();
    assert_eq!(seen[0].headers["x-forwarded-for"], "192.0.2.7");

    // A trusted peer without a header, and a stranger with one, are cut off.
    let mut silent = gateway.dial("10.0.0.1");
    silent.write_all(b"GET / HTTP/1.1\r\nhost: n8n.test\r\n\r\n").await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0);
    let mut liar = gateway.dial(STRANGER);
    liar.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.9 5000 443\r\n").await.unwrap();
    assert!(gateway.secure(liar, "n8n.test", "http/1.1").await.is_err());
    // A stranger without one is an ordinary client.
    assert_eq!(gateway.ask(STRANGER, "GET /webhook/x").await.status, 200);
}

#[tokio::test]
async fn one_client_cannot_take_every_connection() {
    let policy = format!("{POLICY}limits: {{ connections: {{ total: 5, per_client: 2 }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let _first = gateway.client(STRANGER).await;
    let _second = gateway.client(STRANGER).await;
    assert!(gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.is_err());
    // A household is one client, its neighbour another. The fifth place is not for strangers.
    let _third = gateway.client("2001:db8:0:1::1").await;
    let _fourth = gateway.client("2001:db8:0:1::2").await;
    assert!(gateway.secure(gateway.dial("2001:db8::9"), "n8n.test", "http/1.1").await.is_err());
    let metrics = gateway.telemetry.exposition();
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"per_client\"} 1"));
    assert!(metrics.contains("gateway_connections_refused_total{reason=\"total\"} 1"));
}
