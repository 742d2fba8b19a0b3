//! HTTP/2 that waits: windows that stay shut, what is begun and not ended, connections that nobody
//! uses, and how each of them ends.

use std::time::Duration;

use gateway_testkit::{Frame, Frames, Gateway, frames::PREFACE};
use tokio::time::sleep;

use crate::floods::{SILENCE, STRANGER, assert_in_peace, cuts, events, policy};

/// What `n8n` has to say, in one piece.
fn long(length: usize) -> &'static str {
    "x".repeat(length).leak()
}

/// How many bytes of answers there are among what was heard.
fn bytes(heard: &[Frame]) -> usize {
    heard.iter().filter(|it| it.name() == "DATA").map(|it| it.payload.len()).sum()
}

fn codes(heard: &[Frame]) -> Vec<String> {
    let errors = heard.iter().filter(|it| matches!(it.name(), "RST_STREAM" | "GOAWAY"));
    errors.map(|it| format!("{} {} {}", it.name(), it.stream, it.code())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_cut_into_crumbs_for_long() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::setting(4, 1)).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    gateway.n8n.drip(long(5000));
    let mut heard = Vec::new();
    for _ in 0..1000 {
        let (more, closed) = wire.rest(Duration::from_millis(2)).await;
        heard.extend(more);
        if closed {
            break;
        }
        wire.send(&Frame::window(1, 1)).await;
    }
    assert_eq!(codes(&heard), ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
    assert!((200..250).contains(&bytes(&heard)), "{}", bytes(&heard));
    sleep(SILENCE).await;
    assert_eq!(cuts(&gateway), ["h2_window_update"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_stays_shut_is_reset_and_its_neighbours_are_not() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::setting(4, 1000)).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    gateway.n8n.drip(long(5000));
    let (heard, _) = wire.rest(SILENCE).await;
    assert_eq!((bytes(&heard), codes(&heard)), (1000, vec![]));
    // Its neighbour goes on, and takes what it is sent.
    wire.send(&Frame::setting(4, 1_000_000)).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 3, true)).await;
    wire.rest(SILENCE).await;
    wire.send(&Frame::setting(4, 0)).await;
    wire.send(&Frame::window(3, 1_000_000)).await;
    let (heard, closed) = wire.during(Duration::from_secs(40)).await;
    assert_eq!((codes(&heard), closed), (vec!["RST_STREAM 1 CANCEL".to_owned()], false));
    gateway.n8n.drip("more");
    let (heard, closed) = wire.rest(SILENCE).await;
    assert_eq!((bytes(&heard), closed), (4, false));
    assert!(heard.iter().all(|it| it.stream == 3), "{heard:?}");
    assert_in_peace(&gateway);
}

#[tokio::test(start_paused = true)]
async fn whoever_hoards_answers_is_told_to_go() {
    for (window, first) in [(0, Frame::setting(4, 0)), (1, Frame::setting(4, 0x7fff_ffff))] {
        let gateway = Gateway::start(&policy()).unwrap();
        let mut wire = Frames::begin(&gateway, STRANGER).await;
        wire.send(&first).await;
        gateway.n8n.drip(long(4000));
        for number in 0..100 {
            wire.send(&Frame::request("GET", "/webhook/stream", 2 * number + 1, true)).await;
        }
        let (heard, closed) = wire.during(Duration::from_secs(40)).await;
        assert!(closed, "{window}: {:?}", codes(&heard));
        assert_eq!(codes(&heard).last().unwrap(), "GOAWAY 0 ENHANCE_YOUR_CALM", "{window}");
        assert!(codes(&heard).len() <= 12, "{window}: {:?}", codes(&heard));
        // The window that is shut is each stream's, or that of the whole connection.
        assert_eq!(bytes(&heard), 65_535 * window);
        sleep(SILENCE).await;
        assert_eq!(cuts(&gateway), ["h2_stalled"]);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_events_with_an_open_window_is_left_alone() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    wire.send(&Frame::request("GET", "/webhook/slow", 3, true)).await;
    gateway.n8n.drip("an event");
    let (heard, closed) = wire.rest(SILENCE).await;
    assert!(!closed && bytes(&heard) == 8, "{heard:?}");
    // Pings of the gateway's come each half minute.
    for _ in 0..25 {
        sleep(Duration::from_secs(29)).await;
        let (heard, closed) = wire.rest(Duration::from_secs(1)).await;
        assert!(!closed && codes(&heard).is_empty(), "{heard:?}");
    }
    gateway.n8n.drip("another");
    let (heard, closed) = wire.rest(SILENCE).await;
    assert!(!closed && bytes(&heard) == 7, "{heard:?}");
    assert_in_peace(&gateway);
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_is_ended_in_time() {
    let block = Frame::new("HEADERS", 0, 1, [0x82]).bytes();
    let hello = [PREFACE, &Frame::new("SETTINGS", 0, 0, []).bytes()].concat();
    let cases: [(&str, Vec<u8>); 5] = [
        ("nothing", Vec::new()),
        ("half a preface", b"PRI * HTTP/2.0\r\n".to_vec()),
        ("half a frame's head", [&hello[..], &[0, 0]].concat()),
        ("half a frame", [&hello[..], &Frame::new("PING", 0, 0, [0; 8]).bytes()[..12]].concat()),
        ("half a header block", [&hello[..], &block].concat()),
    ];
    for (name, said) in cases {
        let gateway = Gateway::start(&policy()).unwrap();
        let mut wire = Frames::silent(&gateway, STRANGER).await;
        wire.write(&said).await;
        let (heard, closed) = wire.rest(Duration::from_secs(9)).await;
        assert!(!closed && codes(&heard).is_empty(), "{name}: {heard:?}");
        // Pieces of it do not help.
        if name == "half a header block" {
            wire.send(&Frame::new("CONTINUATION", 0, 1, [0x87])).await;
        }
        let (heard, closed) = wire.rest(Duration::from_secs(3)).await;
        assert!(closed, "{name}");
        assert_eq!(codes(&heard), ["GOAWAY 0 ENHANCE_YOUR_CALM"], "{name}");
        sleep(SILENCE).await;
        assert_eq!(cuts(&gateway), ["h2_unfinished"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_ended_in_order() {
    for answers in [true, false] {
        let gateway = Gateway::start(&policy()).unwrap();
        let mut wire = Frames::begin(&gateway, STRANGER).await;
        wire.send(&Frame::request("GET", "/webhook/x", 1, true)).await;
        wire.rest(SILENCE).await;
        sleep(Duration::from_secs(50)).await;
        let (heard, closed) = wire.rest(Duration::from_secs(1)).await;
        assert!(!closed && codes(&heard).is_empty(), "{heard:?}");
        if !answers {
            sleep(Duration::from_secs(30)).await;
        }
        let (heard, closed) = wire.rest(Duration::from_secs(20)).await;
        assert!(closed, "{answers}: {heard:?}");
        assert!(codes(&heard).iter().all(|it| it == "GOAWAY 0 NO_ERROR"), "{:?}", codes(&heard));
        sleep(SILENCE).await;
        assert_eq!(cuts(&gateway), ["idle"]);
        assert!(events(&gateway, "banned").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_between_two_frames_also_when_it_is_sent_much() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::setting(4, 1 << 30)).await;
    wire.send(&Frame::window(0, 1 << 30)).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    gateway.n8n.drip(long(4_000_000));
    let mut heard = Vec::new();
    // As fast as it is read, so that some frame is always on its way.
    let pings = Frame::new("PING", 0, 0, [7; 8]).bytes().repeat(10);
    while let Ok(Some(frame)) = wire.next(SILENCE).await {
        heard.push(frame);
        if !wire.write(&pings).await {
            break;
        }
    }
    heard.extend(wire.rest(SILENCE).await.0);
    assert_eq!(codes(&heard), ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
    assert!(bytes(&heard) < 4_000_000, "{}", bytes(&heard));
    assert_eq!(heard.last().unwrap().name(), "GOAWAY");
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_nothing_is_not_waited_for() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::setting(4, 1 << 30)).await;
    wire.send(&Frame::window(0, 1 << 30)).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    gateway.n8n.drip(long(4_000_000));
    sleep(SILENCE).await;
    let pings = Frame::new("PING", 0, 0, [7; 8]).bytes().repeat(200);
    wire.write(&pings).await;
    sleep(SILENCE + SILENCE).await;
    // It has been cut within seconds, though a frame of its answer is stuck half way.
    assert_eq!(cuts(&gateway), ["h2_ping"]);
    assert_eq!(events(&gateway, "banned").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_a_ban_are_said_by_goaway() {
    let gateway = Gateway::start(&policy()).unwrap();
    let mut wire = Frames::begin(&gateway, STRANGER).await;
    wire.send(&Frame::request("GET", "/webhook/stream", 1, true)).await;
    gateway.n8n.drip("begun");
    wire.rest(SILENCE).await;
    gateway.stop.cancel();
    let (heard, closed) = wire.rest(SILENCE).await;
    assert_eq!((codes(&heard).len(), closed), (2, false), "{heard:?}");
    assert!(codes(&heard).iter().all(|it| it == "GOAWAY 0 NO_ERROR"));
    gateway.n8n.drip("and ended");
    let (heard, _) = wire.rest(SILENCE).await;
    assert_eq!(bytes(&heard), 9, "what was begun goes on");
    assert_in_peace(&gateway);
}
