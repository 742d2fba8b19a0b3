//! Bodies and streams on their way.

use std::time::Duration;

use bytes::Bytes;
use gateway_testkit::{Gateway, POLICY};
use http_body_util::{BodyExt, channel::Channel};
use tokio::time::{Instant, sleep, timeout};

const STRANGER: &str = "203.0.113.9";

#[tokio::test]
async fn a_stream_arrives_piece_by_piece() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let response = client.send(Gateway::request("GET /webhook/stream", "")).await.unwrap();
    let mut body = response.into_body();
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        // n8n sends the next piece only after this one has arrived: nothing holds it back.
        gateway.n8n.drip(piece);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_lives_as_long_as_it_speaks() {
    let policy = format!("{POLICY}limits: {{ timeouts: {{ stream: 10m, answer: 1m }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let response = client.send(Gateway::request("GET /webhook/stream", "")).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..10 {
        sleep(Duration::from_mins(9)).await;
        gateway.n8n.drip("x");
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(body.frame().await.unwrap().is_err(), "silent for ten minutes");
}

#[tokio::test(start_paused = true)]
async fn an_execution_may_take_its_time_and_a_page_may_not() {
    let gateway = Gateway::start(POLICY).unwrap();
    assert_eq!(gateway.ask(STRANGER, "POST /webhook/slow").await.body, "at last");
    let answer = gateway.ask("192.0.2.1", "GET /home/slow").await;
    assert_eq!(answer.status, 504);
}

fn channel()
-> (http_body_util::channel::Sender<Bytes, std::io::Error>, Channel<Bytes, std::io::Error>) {
    Channel::new(1)
}

#[tokio::test]
async fn a_body_is_cut_at_its_limit_whatever_its_head_said() {
    let policy = format!("{POLICY}limits: {{ body: {{ webhook: 1KiB, webhook/big: 1MiB }} }}\n");
    let gateway = Gateway::start(&policy).unwrap();
    let post = async |path: &str, length: usize| {
        let mut client = gateway.client(STRANGER).await;
        let (mut sender, body) = channel();
        let request = Gateway::request(&format!("POST {path}"), "").map(|_| body);
        let send = async {
            for _ in 0..length / 256 {
                if sender.send_data(Bytes::from_static(&[7; 256])).await.is_err() {
                    break;
                }
            }
            drop(sender);
        };
        tokio::join!(client.send(request), send).0.unwrap().status()
    };
    assert_eq!(post("/webhook/x", 1024).await, 200);
    assert_eq!(post("/webhook/x", 1280).await, 413);
    assert_eq!(post("/webhook/big", 512 * 1024).await, 200);
    assert_eq!(
        gateway.n8n.seen().iter().map(|it| it.body).collect::<Vec<_>>(),
        [Some(1024), None, Some(512 * 1024)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_cut_and_a_slow_one_is_not() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let (mut sender, body) = channel();
    let request = Gateway::request("POST /webhook/x", "").map(|_| body);
    let slow = async {
        for _ in 0..300 {
            sleep(Duration::from_secs(20)).await;
            sender.send_data(Bytes::from_static(&[7; 6000])).await.unwrap();
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(client.send(request), slow);
    assert_eq!(answer.unwrap().status(), 200, "100 minutes, 6 kB every 20 seconds");

    let mut client = gateway.client(STRANGER).await;
    let (mut sender, body) = channel();
    let request = Gateway::request("POST /webhook/x", "").map(|_| body);
    let began = Instant::now();
    let (answer, _) =
        tokio::join!(client.send(request), sender.send_data(Bytes::from_static(b"x")));
    assert_eq!(answer.unwrap().status(), 408);
    assert!(began.elapsed() >= Duration::from_secs(30), "not before its time");
}

#[tokio::test]
async fn trailers_do_not_pass() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let (mut sender, body) = channel();
    let mut request = Gateway::request("POST /webhook/x\ntrailer: x-t", "").map(|_| body);
    request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
    let send = async {
        sender.send_data(Bytes::from_static(b"hello")).await.unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-t", "v".parse().unwrap());
        drop(sender.send_trailers(trailers).await);
        drop(sender);
    };
    let (answer, ()) = tokio::join!(client.send(request), send);
    assert_eq!(answer.unwrap().status(), 200);
    let seen = &gateway.n8n.seen()[0];
    assert_eq!(seen.body, Some(5));
    assert!(!seen.headers.contains_key("trailer"));
}

#[tokio::test]
async fn an_upload_of_200_mib_passes_in_small_pieces() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let (mut sender, body) = channel();
    let request = Gateway::request("POST /form/upload", "").map(|_| body);
    let piece = Bytes::from(vec![7; 1 << 20]);
    let send = async {
        for _ in 0..200 {
            sender.send_data(piece.clone()).await.unwrap();
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(client.send(request), send);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(gateway.n8n.seen()[0].body, Some(200 << 20));
}

#[tokio::test]
async fn an_answer_before_the_body_has_ended_is_passed_on() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut client = gateway.client(STRANGER).await;
    let (_sender, body) = channel();
    let request = Gateway::request("POST /webhook/early", "").map(|_| body);
    let answer = timeout(Duration::from_secs(30), client.send(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
}
