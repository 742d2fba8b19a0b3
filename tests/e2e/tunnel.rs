//! WebSockets: opened where n8n answers them, closed with a close frame.

use std::time::Duration;

use gateway_testkit::{Gateway, POLICY};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

const TEAM: &str = "192.0.2.1";
const PUSH: &str = "GET /rest/push?pushRef=1\nconnection: keep-alive, Upgrade\nupgrade: websocket\n\
    sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";

type Socket = TokioIo<hyper::upgrade::Upgraded>;

async fn open(gateway: &Gateway, lines: &str) -> Socket {
    let mut client = gateway.client(TEAM).await;
    let response = client.send(Gateway::request(lines, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "websocket");
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

/// A text frame, unmasked: what n8n's echo sends back.
const HELLO: &[u8] = b"\x81\x05hello";

async fn echoed(socket: &mut Socket) -> bool {
    socket.write_all(HELLO).await.unwrap();
    let mut back = [0; HELLO.len()];
    socket.read_exact(&mut back).await.is_ok() && back == HELLO
}

async fn close_code(socket: &mut Socket) -> u16 {
    let mut frame = [0; 4];
    socket.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..2], [0x88, 2], "a close frame");
    assert_eq!(socket.read(&mut frame).await.unwrap(), 0, "and the end");
    u16::from_be_bytes([frame[2], frame[3]])
}

#[tokio::test]
async fn push_becomes_a_tunnel_and_other_paths_do_not() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    assert!(echoed(&mut socket).await);
    let seen = &gateway.n8n.seen()[0].headers;
    assert_eq!(
        (&seen["upgrade"], &seen["connection"]),
        (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
    );

    // Elsewhere n8n would never answer it: the request goes on without.
    for path in ["/rest/settings", "/REST/push", "/rest/push/", "/webhook/x"] {
        let answer = gateway.ask(TEAM, &PUSH.replace("/rest/push?pushRef=1", path)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert!(gateway.n8n.seen()[1..].iter().all(|seen| !seen.headers.contains_key("upgrade")));
    let stranger = gateway.ask("203.0.113.9", PUSH).await;
    assert_eq!(stranger.status, 404);
}

#[tokio::test]
async fn a_tunnel_outlives_a_reload_that_still_allows_it() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    assert!(echoed(&mut socket).await);
    for n in 0..10 {
        let policy = POLICY.replace("192.0.2.0/24", &format!("192.0.2.0/24, 198.51.100.{n}"));
        assert_eq!(gateway.reload(&policy).revision, n + 2);
        assert!(echoed(&mut socket).await);
    }
}

#[tokio::test]
async fn a_tunnel_is_closed_by_a_reload_that_no_longer_allows_it() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    assert!(echoed(&mut socket).await);
    gateway.reload(&POLICY.replace("192.0.2.0/24", "198.51.100.0/24"));
    assert_eq!(close_code(&mut socket).await, 1008);
    drop(socket);
    let mut log = gateway.log();
    while !log.iter().any(|line| line["event"] == "tunnel_closed") {
        sleep(Duration::from_millis(10)).await;
        log = gateway.log();
    }
    let closed = log.iter().find(|line| line["event"] == "tunnel_closed").unwrap();
    assert_eq!((&closed["because"], &closed["client"]), (&"policy".into(), &TEAM.into()));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_closed_when_its_client_is_banned() {
    let policy = format!("{POLICY}bans: {{ jails: {{ scan: {{ max_retry: 1 }} }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    gateway.ask("192.0.2.9", "GET /.env").await;
    assert!(echoed(&mut socket).await, "somebody else's ban");
    gateway.ask(TEAM, "GET /.env").await;
    assert_eq!(close_code(&mut socket).await, 1008);
}

#[tokio::test]
async fn a_close_frame_waits_for_the_end_of_the_frame_under_way() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, &PUSH.replace("pushRef=1", "half")).await;
    // n8n is in the middle of a frame when the gateway is told to stop.
    let mut half = [0; 4];
    socket.read_exact(&mut half).await.unwrap();
    gateway.stop.cancel();
    tokio::task::yield_now().await;
    gateway.n8n.drip("llo");
    let mut rest = [0; 3];
    socket.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"llo");
    assert_eq!(close_code(&mut socket).await, 1012);
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_is_closed_and_one_that_pings_is_not() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    for _ in 0..200 {
        sleep(Duration::from_mins(1)).await;
        assert!(echoed(&mut socket).await);
    }
    let quiet = Instant::now();
    assert_eq!(answering_pings(&mut socket).await, 1001);
    assert!(quiet.elapsed() >= Duration::from_hours(1), "not before its time");
    assert_eq!(said_of_the_end(&gateway).await, "idle");
}

/// Why the tunnel was closed, as the log has it.
async fn said_of_the_end(gateway: &Gateway) -> String {
    // The client has a moment to answer our close.
    sleep(Duration::from_secs(5)).await;
    let closed = gateway.log().into_iter().find(|it| it["event"] == "tunnel_closed").unwrap();
    closed.get("because").and_then(|it| it.as_str()).unwrap().to_owned()
}

/// Answers pings as a browser does, until the tunnel is closed; with what code it is.
async fn answering_pings(socket: &mut Socket) -> u16 {
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).await.unwrap();
        match head {
            [0x89, 0] => socket.write_all(b"\x8a\x80\x01\x02\x03\x04").await.unwrap(),
            [0x88, 2] => {
                socket.read_exact(&mut head).await.unwrap();
                return u16::from_be_bytes(head);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_without_a_word_is_found_out() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, PUSH).await;
    assert!(echoed(&mut socket).await);
    let quiet = Instant::now();
    let mut ping = [0; 2];
    socket.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping, [0x89, 0], "asked whether it is there");
    assert_eq!(close_code(&mut socket).await, 1001, "it did not say");
    assert!(quiet.elapsed() >= Duration::from_mins(3), "not before its time");
    assert_eq!(said_of_the_end(&gateway).await, "vanished");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_ends_when_n8n_hangs_up_however_silent_the_client_is() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut socket = open(&gateway, &PUSH.replace("pushRef=1", "bye")).await;
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
    // The client keeps its end open and says nothing.
    sleep(Duration::from_secs(5)).await;
    assert!(gateway.telemetry.exposition().contains("gateway_connections_open{kind=\"tunnel\"} 0"));
    assert!(
        socket.write_all(HELLO).await.is_err()
            || socket.read(&mut [0; 8]).await.is_ok_and(|read| read == 0)
    );
}

#[tokio::test]
async fn a_tunnel_counts_as_its_clients_connection() {
    let policy = format!("{POLICY}limits: {{ connections: {{ total: 9, per_client: 2 }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let mut first = open(&gateway, PUSH).await;
    let _second = open(&gateway, PUSH).await;
    assert!(gateway.secure(gateway.dial(TEAM), "n8n.test", "http/1.1").await.is_err());
    assert!(echoed(&mut first).await);
    drop(first);
    // The place is free again once the gateway has seen the end.
    while gateway.secure(gateway.dial(TEAM), "n8n.test", "http/1.1").await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_hosted_chats_socket_is_open_to_strangers() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client("203.0.113.9").await;
    let lines = PUSH.replace("/rest/push?pushRef=1", "/chat?sessionId=1");
    let response = client.send(Gateway::request(&lines, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    assert!(echoed(&mut socket).await);
    assert_eq!(client_status(&gateway, "GET /chat").await, 404, "no chat without a socket");
}

async fn client_status(gateway: &Gateway, lines: &str) -> StatusCode {
    gateway.ask("203.0.113.9", lines).await.status
}
