//! HTTP/2 that costs more than it asks for: each flood ends, its client is told so and it is held
//! against it, and nobody else notices. Beside them stand those who look a little like them.

use std::time::Duration;

use gateway_testkit::{Frame, Frames, Gateway, POLICY, frames::block};
use serde_json::Value;
use tokio::time::{advance, sleep};

pub(crate) const STRANGER: &str = "203.0.113.9";
const OTHER: &str = "203.0.113.7";
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// A policy under which the first cut is one too many.
pub(crate) fn policy() -> String {
    format!("{POLICY}bans: {{ jails: {{ protocol: {{ max_retry: 1 }} }} }}\n")
}

pub(crate) fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == name).collect()
}

/// For what reasons connections were cut.
pub(crate) fn cuts(gateway: &Gateway) -> Vec<String> {
    let reason = |it: Value| it.get("reason")?.as_str().map(str::to_owned);
    events(gateway, "connection_cut").into_iter().filter_map(reason).collect()
}

/// What is sent again and again.
type Piece = fn(u32) -> Vec<Frame>;

struct Flood {
    name: &'static str,
    /// For what reason the connection is cut.
    reason: &'static str,
    /// What comes first.
    begins: fn() -> Vec<Frame>,
    piece: Piece,
    /// How often it may be sent until the connection has ended, at the most.
    most: u32,
}

fn hang(number: u32) -> Frame {
    Frame::request("GET", "/webhook/hang", 2 * number + 1, true)
}

fn post(number: u32) -> Frame {
    Frame::request("POST", "/webhook/hang", 2 * number + 1, false)
}

fn nothing() -> Vec<Frame> {
    Vec::new()
}

fn one_post() -> Vec<Frame> {
    vec![post(0)]
}

fn flood(name: &'static str, reason: &'static str, most: u32, piece: Piece) -> Flood {
    Flood { name, reason, begins: nothing, piece, most }
}

fn floods() -> Vec<Flood> {
    let of_post =
        |name, reason, most, piece| Flood { begins: one_post, ..flood(name, reason, most, piece) };
    vec![
        flood("rapid reset", "h2_resets", 101, |it| vec![hang(it), Frame::reset(2 * it + 1)]),
        flood("rapid reset of bodies", "h2_resets", 101, |it| {
            vec![post(it), Frame::reset(2 * it + 1)]
        }),
        of_post("resets of what is reset", "h2_resets", 101, |_| vec![Frame::reset(1)]),
        flood("streams that must be reset", "h2_made_resets", 30, |it| {
            vec![Frame::new("HEADERS", 5, 2 * it + 1, [])]
        }),
        flood("bodies that must be reset", "h2_made_resets", 30, |it| {
            let mut post = post(it);
            post.payload.extend(block([("content-length", "1")]));
            vec![post, Frame::new("DATA", 0, 2 * it + 1, *b"too much")]
        }),
        flood("trailers that must be reset", "h2_made_resets", 30, |it| {
            vec![post(it), Frame::new("HEADERS", 4, 2 * it + 1, [])]
        }),
        flood("streams without end", "h2_streams", 700, |it| vec![hang(it)]),
        flood("PING", "h2_ping", 101, |_| vec![Frame::new("PING", 0, 0, [7; 8])]),
        flood("PING answers", "h2_ping", 101, |_| vec![Frame::new("PING", 1, 0, [7; 8])]),
        flood("SETTINGS", "h2_settings", 51, |_| vec![Frame::new("SETTINGS", 0, 0, [])]),
        flood("SETTINGS answers", "h2_protocol", 3, |_| vec![Frame::new("SETTINGS", 1, 0, [])]),
        flood("SETTINGS of many", "h2_settings", 2, |_| {
            let many = [0, 4, 0, 0, 0, 1, 0, 4, 0, 0, 0, 9].repeat(1365);
            vec![Frame::new("SETTINGS", 0, 0, many)]
        }),
        flood("PRIORITY", "h2_priority", 201, |it| {
            vec![Frame::new("PRIORITY", 0, 2 * it + 1, [0; 5])]
        }),
        flood("WINDOW_UPDATE", "h2_window_update", 501, |_| vec![Frame::window(0, 1)]),
        of_post("WINDOW_UPDATE of a stream", "h2_window_update", 510, |_| {
            vec![Frame::window(1, 1)]
        }),
        of_post("empty DATA", "h2_data", 51, |_| vec![Frame::new("DATA", 0, 1, [])]),
        of_post("DATA of padding alone", "h2_data", 51, |_| {
            vec![Frame::new("DATA", 8, 1, [2, 0, 0])]
        }),
        flood("unknown frames", "h2_unknown", 201, |_| {
            vec![Frame { kind: 0x60, flags: 0, stream: 0, payload: vec![0; 100] }]
        }),
        of_post("GOAWAY", "h2_glitches", 101, |_| vec![Frame::new("GOAWAY", 0, 0, [0; 8])]),
        Flood {
            begins: || vec![hang(0), Frame::new("HEADERS", 4, 3, [])],
            ..flood("CONTINUATION", "h2_headers", 6, |it| match it {
                0 => vec![Frame::new("HEADERS", 0, 5, [])],
                _ => vec![Frame::new("CONTINUATION", 0, 5, [])],
            })
        },
        flood("header lists", "h2_headers", 15, |it| {
            let mut list = Frame::request("GET", "/webhook/x", 2 * it + 1, true);
            // The entry of the table that was made first, again and again.
            list.payload.extend(match it {
                0 => [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'b'; 4000]].concat(),
                _ => vec![0xbe; 30],
            });
            vec![list]
        }),
    ]
}

/// Everything that a client hears of it.
async fn endure(gateway: &Gateway, flood: &Flood) -> (u32, Vec<Frame>, bool) {
    let mut wire = Frames::begin(gateway, STRANGER).await;
    let mut heard = Vec::new();
    for frame in (flood.begins)() {
        wire.send(&frame).await;
    }
    heard.extend(wire.rest(Duration::from_millis(1)).await.0);
    let mut sent = 0;
    while sent <= flood.most {
        let mut going = true;
        for frame in (flood.piece)(sent) {
            going &= wire.send(&frame).await;
        }
        sent += 1;
        // Not before it has been looked at.
        tokio::task::yield_now().await;
        let (more, closed) = wire.rest(Duration::from_micros(1)).await;
        heard.extend(more);
        if closed || !going {
            return (sent, heard, true);
        }
    }
    (sent, heard, false)
}

#[tokio::test(start_paused = true)]
async fn every_flood_ends_and_is_held_against_whoever_made_it() {
    for flood in floods() {
        let name = flood.name;
        let gateway = Gateway::start(&policy()).unwrap();
        let mut other = gateway.client_h2(OTHER).await;
        let (sent, heard, ended) = endure(&gateway, &flood).await;
        assert!(ended, "{name}: {sent} were endured: {heard:?}");
        let last = heard.iter().rfind(|it| it.name() == "GOAWAY");
        let last = last.unwrap_or_else(|| panic!("{name}: no GOAWAY after {sent}: {heard:?}"));
        let rule = flood.reason == "h2_protocol";
        let code = if rule { "PROTOCOL_ERROR" } else { "ENHANCE_YOUR_CALM" };
        assert_eq!(last.code(), code, "{name}");
        // Never more is said than was asked for.
        assert!(heard.len() <= usize::try_from(2 * sent).unwrap() + 8, "{name}: {}", heard.len());
        assert_eq!(other.ask("GET /webhook/x").await.status, 200, "{name}");
        sleep(SILENCE).await;
        let cut = format!("gateway_connections_cut_total{{reason=\"{}\"}} 1\n", flood.reason);
        let metrics = gateway.telemetry.exposition();
        assert!(
            metrics.contains(&cut),
            "{name}: {:?} {:?}",
            cuts(&gateway),
            heard.iter().rev().take(14).collect::<Vec<_>>()
        );
        assert_eq!(events(&gateway, "banned").len(), 1, "{name}");
        let again = gateway.secure(gateway.dial(STRANGER), "n8n.test", "h2").await;
        assert!(again.is_err(), "{name}: it may come again");
    }
}

/// What was never cut, and nobody was banned.
pub(crate) fn assert_in_peace(gateway: &Gateway) {
    assert_eq!(cuts(gateway), [""; 0]);
    assert!(events(gateway, "banned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_listen_is_not_answered_without_bound() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    let pings = Frame::new("PING", 0, 0, [7; 8]).bytes().repeat(90);
    let mut sent = 0;
    for _ in 0..5 {
        sent += u32::from(wire.write(&pings).await);
        advance(Duration::from_millis(1001)).await;
    }
    let (heard, _) = wire.rest(SILENCE).await;
    let pongs = heard.iter().filter(|it| it.name() == "PING" && it.flags == 1).count();
    assert_eq!((sent, pongs), (5, 450));
    assert_in_peace(&gateway);
}

#[tokio::test(start_paused = true)]
async fn a_browser_may_cancel_what_it_has_just_asked_for() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    for load in 0..6 {
        let numbers = load * 80..(load + 1) * 80;
        let asked: Vec<u8> = numbers.clone().flat_map(|it| hang(it).bytes()).collect();
        let reset: Vec<u8> = numbers.flat_map(|it| Frame::reset(2 * it + 1).bytes()).collect();
        // All of it in one piece, so that none was looked at when it is reset.
        assert!(wire.write(&[asked, reset].concat()).await);
        let (heard, closed) = wire.rest(SILENCE).await;
        assert!(!closed, "{load}: {heard:?}");
    }
    wire.send(&Frame::request("GET", "/webhook/x", 2001, true)).await;
    let (heard, _) = wire.rest(SILENCE).await;
    assert!(heard.iter().any(|it| it.status() == Some(200)), "{heard:?}");
    assert_in_peace(&gateway);
}

#[tokio::test(start_paused = true)]
async fn whoever_pings_each_second_and_says_of_each_byte_that_it_was_taken_is_served() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    let mut taken = 0;
    for _ in 0..2000 {
        gateway.n8n.drip("an event of some bytes\n");
        wire.send(&Frame::new("PING", 0, 0, [7; 8])).await;
        let (heard, closed) = wire.rest(Duration::from_millis(100)).await;
        assert!(!closed, "{heard:?}");
        for frame in heard.iter().filter(|it| it.name() == "DATA") {
            let more = u32::try_from(frame.payload.len()).unwrap();
            taken += more;
            wire.send(&Frame::window(0, more)).await;
            wire.send(&Frame::window(1, more)).await;
        }
    }
    assert_eq!(taken, 2000 * 23);
    assert_in_peace(&gateway);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_come_in_small_pieces() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::request("POST", "/webhook/x", 1, false)).await;
    for _ in 0..2000 {
        assert!(wire.write(&Frame::new("DATA", 0, 1, [b'a'; 16]).bytes()).await);
        tokio::task::yield_now().await;
    }
    wire.send(&Frame::new("DATA", 1, 1, [])).await;
    let (heard, closed) = wire.rest(SILENCE).await;
    assert!(!closed && heard.iter().any(|it| it.status() == Some(200)), "{heard:?}");
    assert_eq!(gateway.n8n.seen()[0].body, Some(32_000));
    assert_in_peace(&gateway);
}
