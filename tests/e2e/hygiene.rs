//! What n8n is told, and what the client is told.

use gateway_testkit::{Gateway, POLICY};

const STRANGER: &str = "203.0.113.9";

#[tokio::test]
async fn n8n_is_told_one_verified_client_and_the_public_host() {
    let gateway = Gateway::start(POLICY).unwrap();
    let lines = "POST /webhook/x\nhost: N8N.test:8443\nx-forwarded-for: 9.9.9.9\nx-forwarded-host: evil\n\
        x-forwarded-proto: evil\nforwarded: host=evil\nx-real-ip: 9.9.9.9\nvia: 1.1 evil\nte: trailers\n\
        x-request-id: mine\nconnection: close, x-secret\nx-secret: 1\nupgrade: h2c\nhttp2-settings: AAMA\n\
        origin: https://n8n.test:8443\nbrowser-id: b\npush-ref: p\nx-n8n-api-key: k\nx-hub-signature-256: s";
    let answer = gateway.client(STRANGER).await.ask_with(lines, "raw \u{0} body").await;
    assert_eq!(answer.body, "10 bytes");
    let seen = &gateway.n8n.seen()[0].headers;
    let all =
        |name: &str| seen.get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("x-forwarded-for"), [STRANGER]);
    assert_eq!(all("x-forwarded-host"), ["n8n.test:8443"]);
    assert_eq!(all("x-forwarded-proto"), ["https"]);
    assert_eq!(all("host"), ["n8n.test:8443"]);
    assert_eq!(all("content-length"), ["10"]);
    for gone in ["forwarded", "x-real-ip", "via", "te", "x-secret", "upgrade", "http2-settings"] {
        assert!(all(gone).is_empty(), "{gone}: {seen:?}");
    }
    assert_eq!(all("x-request-id"), [answer.header("x-request-id")]);
    for (name, value) in [
        ("origin", "https://n8n.test:8443"),
        ("browser-id", "b"),
        ("push-ref", "p"),
        ("x-n8n-api-key", "k"),
        ("x-hub-signature-256", "s"),
    ] {
        assert_eq!(all(name), [value]);
    }
}

#[tokio::test]
async fn http_2_becomes_a_clean_http_1() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client_h2(STRANGER).await;
    let answer = client.ask("GET /webhook/x?y\ncookie: a=1\ncookie: b=2").await;
    assert_eq!(answer.status, 200);
    let seen = &gateway.n8n.seen()[0];
    assert_eq!(seen.target, "/webhook/x?y");
    assert_eq!(seen.headers["host"], "n8n.test");
    assert_eq!(seen.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
}

#[tokio::test]
async fn browsers_come_back_over_https_unless_the_certificate_is_a_developers() {
    let gateway = Gateway::start(POLICY).unwrap();
    assert_eq!(
        gateway.ask(STRANGER, "GET /webhook/x").await.header("strict-transport-security"),
        ""
    );

    // A certificate in files, as an operator has it; the client trusts it by itself.
    let own = rcgen::generate_simple_self_signed(["n8n.test".to_owned()]).unwrap();
    let folder = gateway.folder();
    std::fs::write(folder.join("state/ca.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("chain.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let files = "{ certificate: { chain: chain.pem, key: key.pem } }";
    let mut gateway = gateway;
    assert_eq!(gateway.reload(&POLICY.replace("{ self_signed: true }", files)).problems, [""; 0]);
    for lines in ["GET /webhook/x", "GET /rest/settings"] {
        let answer = gateway.ask(STRANGER, lines).await;
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{lines}");
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_until_it_is_switched_off() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let shake = async |gateway: &Gateway| {
        let old = &[&rustls::version::TLS12];
        let io = gateway.secure_with(gateway.dial(STRANGER), "n8n.test", "http/1.1", old).await;
        io.map(|io| io.get_ref().1.protocol_version())
    };
    assert_eq!(shake(&gateway).await.unwrap(), Some(rustls::ProtocolVersion::TLSv1_2));
    let strict = POLICY.replace("true }", "true, min_version: \"1.3\" }");
    assert!(gateway.reload(&strict).problems.is_empty());
    assert!(shake(&gateway).await.is_err());
    let io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "h2").await.unwrap();
    let session = io.get_ref().1;
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    // Post-quantum first, for clients that know it.
    let group = session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
    assert_eq!(group, Some(rustls::NamedGroup::X25519MLKEM768));
}
