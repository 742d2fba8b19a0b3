//! Connections that wait for their next request: they serve as before when it comes.

use std::time::Duration;

use gateway_testkit::{Gateway, POLICY};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

const STRANGER: &str = "203.0.113.9";
const TEAM: &str = "192.0.2.1";
const SECOND: Duration = Duration::from_secs(1);
const HOOK: &str = "GET /webhook/x HTTP/1.1\r\nhost: n8n.test\r\n\r\n";
/// An upgrade that is refused.
const UPGRADE: &str = "GET /rest/push?pushRef=1 HTTP/1.1\r\nhost: n8n.test\r\nconnection: upgrade\r\n\
                       upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The whole of an answer, whose length its head tells.
async fn asked(io: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    io.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    loop {
        let read = timeout(20 * SECOND, io.read_buf(&mut said)).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&said);
        assert_ne!(read, 0, "{text}");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            return text.into_owned();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_with_long_pauses_are_served_on_one_connection() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    for pause in [0, 1, 3, 10, 55, 3] {
        sleep(pause * SECOND).await;
        let said = asked(&mut io, HOOK).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "after {pause} s: {said}");
    }
    // Nor does a refused upgrade end it.
    for request in [UPGRADE, HOOK] {
        sleep(10 * SECOND).await;
        let said = asked(&mut io, request).await;
        let status = if request == HOOK { "HTTP/1.1 200 " } else { "HTTP/1.1 404 " };
        assert!(said.starts_with(status), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_connection_that_rests() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    asked(&mut io, HOOK).await;
    sleep(10 * SECOND).await;
    gateway.stop.cancel();
    let end = timeout(20 * SECOND, io.read(&mut [0; 9])).await.unwrap();
    assert_eq!(end.unwrap(), 0, "closed in order");
    gateway.tasks.close();
    gateway.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn another_protocol_can_follow_a_rest() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(TEAM), "n8n.test", "http/1.1").await.unwrap();
    asked(&mut io, HOOK).await;
    sleep(10 * SECOND).await;
    io.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        assert_ne!(io.read_buf(&mut said).await.unwrap(), 0);
    }
    assert!(said.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&said));
    // Longer than any rest.
    sleep(5 * SECOND).await;
    io.write_all(b"\x81\x02hi").await.unwrap();
    let mut echo = [0; 4];
    io.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"\x81\x02hi");
}
