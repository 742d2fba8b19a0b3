//! Windows: somebody is let into one surface for a time.

use std::time::Duration;

use gateway_n8n::Surface;
use gateway_testkit::{Gateway, POLICY};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{io::AsyncReadExt, time::sleep};

const TRAVELLER: &str = "203.0.113.7";

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

fn open(gateway: &Gateway, surface: Surface, seconds: u64) -> u64 {
    let net = "203.0.113.7/32".parse().unwrap();
    let lasts = Duration::from_secs(seconds);
    gateway.guard().open_window(surface, net, lasts, "uid 0", "on the road").unwrap().id
}

async fn status(gateway: &Gateway, from: &str, line: &str) -> u16 {
    gateway.ask(from, line).await.status.as_u16()
}

#[tokio::test(start_paused = true)]
async fn one_address_is_let_into_one_surface_and_out_again() {
    let mut gateway = Gateway::start(POLICY).unwrap();
    let test = "POST /webhook-test/x";
    assert_eq!(status(&gateway, TRAVELLER, test).await, 404);
    open(&gateway, Surface::WebhookTest, 900);
    assert_eq!(status(&gateway, TRAVELLER, test).await, 200);
    assert_eq!(status(&gateway, "203.0.113.8", test).await, 404);
    assert_eq!(status(&gateway, TRAVELLER, "GET /rest/settings").await, 404);
    assert_eq!(gateway.reload(&format!("{POLICY}# changed\n")).outcome.name(), "applied");
    assert_eq!(status(&gateway, TRAVELLER, test).await, 200, "it outlives a policy");
    assert!(gateway.telemetry.exposition().contains("gateway_windows_open 1\n"));
    sleep(Duration::from_secs(900)).await;
    assert_eq!(status(&gateway, TRAVELLER, test).await, 404, "before anybody sweeps");
    gateway.guard().sweep();
    assert!(gateway.telemetry.exposition().contains("gateway_windows_open 0\n"));
    let (opened, closed) = (events(&gateway, "window_opened"), events(&gateway, "window_closed"));
    assert_eq!(opened[0]["by"], "uid 0");
    assert_eq!(opened[0]["why"], "on the road");
    assert_eq!(opened[0]["surface"], "webhook-test");
    assert_eq!(opened[0]["seconds"], 900);
    assert_eq!((closed.len(), &closed[0]["because"]), (1, &"time".into()));
}

#[tokio::test(start_paused = true)]
async fn a_window_to_the_editor_opens_what_follows_it_until_it_is_closed() {
    let gateway = Gateway::start(POLICY).unwrap();
    let id = open(&gateway, Surface::Editor, 900);
    for path in ["GET /", "GET /rest/settings", "GET /assets/x.js", "GET /healthz"] {
        assert_eq!(status(&gateway, TRAVELLER, path).await, 200, "{path}");
    }
    assert_eq!(status(&gateway, TRAVELLER, "GET /metrics").await, 404);
    assert_eq!(gateway.guard().close_window(Some(id), "uid 0").len(), 1);
    assert_eq!(status(&gateway, TRAVELLER, "GET /").await, 404);
    assert!(gateway.guard().close_window(None, "uid 0").is_empty());
    assert_eq!(events(&gateway, "window_closed")[0]["because"], "operator");
}

#[tokio::test(start_paused = true)]
async fn its_tunnels_end_with_it_and_those_of_others_do_not() {
    const PUSH: &str = "GET /rest/push?pushRef=1\nconnection: Upgrade\nupgrade: websocket\n\
        sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let gateway = Gateway::start(POLICY).unwrap();
    open(&gateway, Surface::Editor, 60);
    let mut sockets = Vec::new();
    for from in [TRAVELLER, "192.0.2.1"] {
        let mut client = gateway.client(from).await;
        let response = client.send(Gateway::request(PUSH, "")).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS, "{from}");
        sockets.push((TokioIo::new(hyper::upgrade::on(response).await.unwrap()), client));
    }
    sleep(Duration::from_secs(30)).await;
    assert!(events(&gateway, "tunnel_closed").is_empty());
    sleep(Duration::from_secs(31)).await;
    gateway.guard().sweep();
    let mut frame = [0; 4];
    sockets[0].0.read_exact(&mut frame).await.unwrap();
    assert_eq!((frame[0], u16::from_be_bytes([frame[2], frame[3]])), (0x88, 1008));
    sleep(Duration::from_secs(5)).await;
    let closed = events(&gateway, "tunnel_closed");
    assert_eq!((closed.len(), &closed[0]["because"]), (1, &"window".into()));
    assert_eq!(closed[0]["client"], TRAVELLER);
}
