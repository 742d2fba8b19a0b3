//! Who is slow, who is gone, and who takes their time: each is told apart, and cut when it is due.

use std::time::Duration;

use bytes::Bytes;
use gateway_testkit::{Gateway, POLICY, Step};
use http_body_util::channel::Channel;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

const STRANGER: &str = "203.0.113.1";
const TEAM: &str = "192.0.2.1";
const SECOND: Duration = Duration::from_secs(1);

/// Longer than anything here may take.
const EVER: Duration = Duration::from_mins(10);

/// A piece of an answer.
const LARGE: &str = match str::from_utf8(&[b'x'; 64 * 1024]) {
    Ok(text) => text,
    Err(_) => panic!("ASCII"),
};

/// Sends `bytes` one each second until the other side ends, and gives what it has said by then and
/// how long that took.
async fn drip(io: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let (mut from, mut to) = tokio::io::split(io);
    let send = async {
        for byte in bytes {
            if to.write_all(&[*byte]).await.is_err() || to.flush().await.is_err() {
                break;
            }
            sleep(SECOND).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let read = timeout(EVER, from.read_to_end(&mut said));
    tokio::select! {
        ended = read => assert!(ended.is_ok(), "no end"),
        () = send => {}
    }
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

fn counts(gateway: &Gateway, line: &str) -> bool {
    gateway.telemetry.exposition().lines().any(|it| it == line)
}

/// Waits until `line` stands in the metrics.
async fn counted(gateway: &Gateway, line: &str) {
    let until = async {
        while !counts(gateway, line) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let told = timeout(EVER, until).await;
    told.unwrap_or_else(|_| panic!("{line}\n{}", gateway.telemetry.exposition()));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_answered_and_cut() {
    let gateway = Gateway::start(POLICY).unwrap();
    let io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    let (said, took) = drip(io, &[b'G'; 200]).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("connection: close\r\n"), "{said}");
    assert!(took >= 10 * SECOND && took < 15 * SECOND, "{took:?}");
    let line = "gateway_requests_refused_total{reason=\"head_timeout\",surface=\"editor\"} 1";
    counted(&gateway, line).await;
    counted(&gateway, "gateway_jail_failed_total{jail=\"protocol\"} 1").await;
}

#[tokio::test(start_paused = true)]
async fn a_second_head_has_the_time_of_the_first() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    let whole = b"GET /webhook/x HTTP/1.1\r\nhost: n8n.test\r\n\r\n";
    io.write_all(whole).await.unwrap();
    let mut answer = [0; 12];
    io.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // Idle for a while, as a browser is, and then slow, within the time that a head has.
    sleep(50 * SECOND).await;
    let (first, rest) = whole.split_at(20);
    io.write_all(first).await.unwrap();
    sleep(9 * SECOND).await;
    io.write_all(rest).await.unwrap();
    let mut said = vec![0; 4096];
    let mut all = String::new();
    while !all.contains("HTTP/1.1 200") {
        let read = timeout(EVER, io.read(&mut said)).await.unwrap().unwrap();
        assert!(read > 0, "{all}");
        all += &String::from_utf8_lossy(&said[..read]);
    }
    let (said, took) = drip(io, b"GET /webhook/x HTTP/1.1\r\n").await;
    assert!(said.contains("HTTP/1.1 408 "), "{said}");
    assert!(took >= 10 * SECOND && took < 15 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_waits_behind_an_answer_is_not_late() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    // The answer takes its time, and the client has sent a part of its next head already.
    let pipelined = b"GET /webhook/stream HTTP/1.1\r\nhost: n8n.test\r\n\r\nGET /heal";
    io.write_all(pipelined).await.unwrap();
    let mut said = String::new();
    for piece in ["one", "two", "three"] {
        gateway.n8n.drip(piece);
        while !said.contains(piece) {
            let mut buffer = [0; 4096];
            let read = timeout(EVER, io.read(&mut buffer)).await.unwrap().unwrap();
            assert!(read > 0, "{said}");
            said += &String::from_utf8_lossy(&buffer[..read]);
        }
        sleep(30 * SECOND).await;
    }
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_is_sent_away_after_a_minute() {
    let gateway = Gateway::start(POLICY).unwrap();
    for alpn in ["http/1.1"] {
        let io = gateway.secure(gateway.dial(STRANGER), "n8n.test", alpn).await.unwrap();
        let (said, took) = drip(io, b"").await;
        assert_eq!(said, "");
        assert!(took >= 60 * SECOND && took < 65 * SECOND, "{took:?}");
    }
    counted(&gateway, "gateway_connections_cut_total{reason=\"idle\"} 1").await;
    assert!(counts(&gateway, "gateway_jail_failed_total{jail=\"protocol\"} 0"), "no offence");
    let (said, took) = drip(gateway.dial_http(STRANGER), b"").await;
    assert_eq!(said, "");
    assert!(took >= 60 * SECOND && took < 65 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_drips_is_cut() {
    let gateway = Gateway::start(POLICY).unwrap();
    let (_, took) =
        drip(gateway.dial(STRANGER), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(took >= 10 * SECOND && took < 15 * SECOND, "{took:?}");
    counted(&gateway, "gateway_connections_cut_total{reason=\"handshake_timeout\"} 1").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_on_both_protocols() {
    let gateway = Gateway::start(POLICY).unwrap();
    for h2 in [false, true] {
        let mut client = match h2 {
            true => gateway.client_h2(TEAM).await,
            false => gateway.client(TEAM).await,
        };
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let request = Gateway::request("POST /rest/workflows", "").map(|_| body);
        let began = Instant::now();
        let drip = async {
            while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {
                sleep(SECOND).await;
            }
        };
        let answer = tokio::select! {
            answer = client.send(request) => answer.unwrap(),
            () = drip => panic!("nobody wants it"),
        };
        assert_eq!(answer.status(), 408);
        assert!(began.elapsed() >= 30 * SECOND && began.elapsed() < 40 * SECOND);
    }
    counted(
        &gateway,
        "gateway_requests_refused_total{reason=\"body_too_slow\",surface=\"rest\"} 2",
    )
    .await;
    counted(&gateway, "gateway_jail_failed_total{jail=\"protocol\"} 2").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_cut() {
    let gateway = Gateway::start(POLICY).unwrap();
    for _ in 0..32 {
        gateway.n8n.drip(LARGE);
    }
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    io.write_all(b"GET /webhook/stream HTTP/1.1\r\nhost: n8n.test\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    let reads = async {
        while io.read(&mut byte).await.is_ok_and(|it| it > 0) {
            sleep(SECOND).await;
        }
    };
    tokio::select! {
        () = counted(&gateway, "gateway_connections_cut_total{reason=\"stalled_reader\"} 1") => {}
        () = reads => panic!("there is more to read"),
    }
    assert!(
        counts(&gateway, "gateway_jail_failed_total{jail=\"protocol\"} 0"),
        "a paused download"
    );
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_a_connection_idles_for_a_minute_too() {
    let gateway = Gateway::start(POLICY).unwrap();
    // From n8n, from the gateway itself, and one that takes longer than a connection may idle.
    for (path, takes) in [("/webhook/x", 0), ("/nothing", 0), ("/webhook/stream", 90)] {
        let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: n8n.test\r\n\r\n");
        io.write_all(head.as_bytes()).await.unwrap();
        let mut some = [0; 8192];
        if takes > 0 {
            gateway.n8n.drip("begun");
        }
        let read = timeout(EVER, io.read(&mut some)).await.unwrap().unwrap();
        assert!(some[..read].starts_with(b"HTTP/1.1 "), "{path}");
        if takes > 0 {
            sleep(takes * SECOND).await;
            gateway.n8n.drip("");
        }
        let (_, took) = drip(io, b"").await;
        assert!(took >= 59 * SECOND && took < 65 * SECOND, "{path}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_after_a_body_begins_nothing() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    let post = b"POST /webhook/x HTTP/1.1\r\nhost: n8n.test\r\ncontent-length: 2\r\n\r\nok\r\n";
    for _ in 0..2 {
        io.write_all(post).await.unwrap();
        let mut answer = [0; 4096];
        let read = io.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "and no 408 before it");
        sleep(40 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_answer_may_take_longer_than_a_connection_may_idle() {
    let gateway = Gateway::start(POLICY).unwrap();
    let body = "x".repeat(200_000);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    gateway.n8n.set_script(Some(vec![
        Step::Request,
        Step::Say((head + &body).into_bytes().into()),
        Step::Read,
    ]));
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    io.write_all(b"GET /webhook/x HTTP/1.1\r\nhost: n8n.test\r\n\r\n").await.unwrap();
    let (mut read, mut piece) = (0, [0; 1024]);
    while read < body.len() {
        let more = timeout(EVER, io.read(&mut piece)).await.unwrap().unwrap();
        assert!(more > 0, "{read} of {}", body.len());
        read += more;
        sleep(SECOND).await;
    }
}

/// A load balancer that speaks the PROXY protocol brings one client a connection: it is that
/// client's, and held to what that client is held to.
#[tokio::test(start_paused = true)]
async fn a_client_behind_the_proxy_protocol_is_a_client() {
    let policy = POLICY.replace("tls:", "listen: { proxy_protocol: true }\ntls:");
    let policy = format!("{policy}clients: {{ trusted_proxies: [10.0.0.1] }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let mut io = gateway.dial("10.0.0.1");
    io.write_all(b"PROXY TCP4 203.0.113.1 192.0.2.9 50000 443\r\n").await.unwrap();
    let io = gateway.secure(io, "n8n.test", "http/1.1").await.unwrap();
    let (_, took) = drip(io, b"").await;
    assert!(took >= 60 * SECOND && took < 65 * SECOND, "{took:?}");
}
