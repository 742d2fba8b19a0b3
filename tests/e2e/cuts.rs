//! Wires that are cut, or held up, at every byte of an exchange, both ways, on both sides of the
//! gateway: the whole space of small exchanges.

use std::time::Duration;

use bytes::Bytes;
use gateway_testkit::{Client, Gateway, Knife, POLICY, Step, Stroke, Way};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::{sleep, timeout},
};

const STRANGER: &str = "192.0.2.1";

/// What a client says, what n8n does, and what the client reads of n8n's.
struct Talk {
    name: &'static str,
    asks: Vec<&'static str>,
    n8n: Vec<Step>,
    bodies: Vec<&'static str>,
    /// What goes on once it is a tunnel: this is said and comes back.
    echo: &'static str,
}

fn talks() -> Vec<Talk> {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfir\r\n2\r\nst\r\n0\r\n\r\n";
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
    let last = "GET /webhook/2 HTTP/1.1\r\nhost: n8n.test\r\nconnection: close\r\n\r\n";
    let only = "GET /webhook/1 HTTP/1.1\r\nhost: n8n.test\r\nconnection: close\r\n\r\n";
    vec![
        Talk {
            name: "a GET and a length",
            asks: vec![only],
            n8n: vec![Step::Request, Step::say(first), Step::Mirror],
            bodies: vec!["first"],
            echo: "",
        },
        Talk {
            name: "chunks both ways",
            asks: vec![
                "POST /webhook/1 HTTP/1.1\r\nhost: n8n.test\r\nconnection: close\r\n\
                 transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n",
            ],
            n8n: vec![Step::Request, Step::say(chunked), Step::Mirror],
            bodies: vec!["first"],
            echo: "",
        },
        Talk {
            name: "two requests",
            asks: vec!["GET /webhook/1 HTTP/1.1\r\nhost: n8n.test\r\n\r\n", last],
            n8n: vec![Step::Mirror],
            bodies: vec!["/webhook/1", "/webhook/2"],
            echo: "",
        },
        Talk {
            name: "an upgrade",
            asks: vec![
                "GET /rest/push?pushRef=1 HTTP/1.1\r\nhost: n8n.test\r\nconnection: upgrade\r\n\
                 upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            ],
            n8n: vec![
                Step::Request,
                Step::say(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                     upgrade: websocket\r\n\r\n",
                ),
                Step::Echo,
            ],
            bodies: vec![""],
            echo: "\u{1}\u{5}hello",
        },
    ]
}

/// A message, as far as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    whole: bool,
}

/// Reads an answer off `bytes`; nothing if not even its head is there.
fn answer(bytes: &mut Bytes) -> Option<Answer> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    Some(message(bytes, end))
}

/// The message whose head ends there.
fn message(bytes: &mut Bytes, end: usize) -> Answer {
    let head = String::from_utf8(bytes.split_to(end + 4).to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let field = |name: &str| {
        let line = head.lines().find(|it| it.to_lowercase().starts_with(name))?;
        Some(line.split_once(": ").unwrap().1.to_owned())
    };
    let mut body = Vec::new();
    let whole = if status == 101 {
        true
    } else if let Some(length) = field("content-length: ") {
        let length: usize = length.parse().unwrap();
        body = bytes.split_to(length.min(bytes.len())).to_vec();
        body.len() == length
    } else {
        assert_eq!(field("transfer-encoding: ").as_deref(), Some("chunked"), "{head}");
        loop {
            let Some(line) = bytes.windows(2).position(|it| it == b"\r\n") else { break false };
            let size = String::from_utf8(bytes.split_to(line + 2).to_vec()).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if bytes.len() < size + 2 {
                body.extend(bytes.split_to(size.min(bytes.len())));
                break false;
            }
            body.extend(bytes.split_to(size));
            drop(bytes.split_to(2));
            if size == 0 {
                break true;
            }
        }
    };
    Answer { status, head, body, whole }
}

/// Has the talk with the gateway, and asserts that what the client reads is n8n's word or the
/// gateway's own, whole or visibly broken. Tells whether all of it was n8n's.
async fn converse(gateway: &Gateway, talk: &Talk, knife: Option<Knife>) -> bool {
    let io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    let (mut client, far) = duplex(64 * 1024);
    let knife = knife.unwrap_or_else(|| Knife::new(Way::Up, usize::MAX, Stroke::Cut));
    gateway.tasks.spawn(knife.carry(far, io));
    let mut all_n8ns = true;
    let mut rest = Bytes::new();
    for (ask, expected) in talk.asks.iter().zip(&talk.bodies) {
        if client.write_all(ask.as_bytes()).await.is_err() {
            return false;
        }
        let mut read = rest.to_vec();
        let (answer, ended) = loop {
            let mut bytes = Bytes::from(read.clone());
            let found = answer(&mut bytes);
            let whole = found.as_ref().is_some_and(|it| it.whole);
            rest = bytes;
            if whole {
                break (found, false);
            }
            // Nothing hangs: n8n's silence has a limit, and so has everybody's.
            let more = timeout(Duration::from_hours(2), client.read_buf(&mut read)).await;
            if more.unwrap_or_else(|_| panic!("{}: a hang", talk.name)).unwrap_or(0) == 0 {
                break (found, true);
            }
        };
        let Some(answer) = answer.filter(|it| it.whole) else {
            assert!(ended, "{}", talk.name);
            return false;
        };
        let body = String::from_utf8(answer.body).unwrap();
        if answer.status == 200 || answer.status == 101 {
            assert_eq!(body, *expected, "{}: {}", talk.name, answer.head);
            continue;
        }
        // The gateway's own word.
        assert!(matches!(answer.status, 400 | 408 | 502..=504), "{}: {}", talk.name, answer.head);
        assert!(body.contains("requestId"), "{}: {body}", talk.name);
        all_n8ns = false;
        if talk.asks.len() == 1 {
            break;
        }
    }
    if all_n8ns && !talk.echo.is_empty() {
        let mut back = rest.to_vec();
        if client.write_all(talk.echo.as_bytes()).await.is_ok() {
            while back.len() < talk.echo.len()
                && client.read_buf(&mut back).await.is_ok_and(|it| it > 0)
            {}
        }
        all_n8ns = back == talk.echo.as_bytes();
        // What comes in the place of the echo's end may be the gateway's close frame.
        let ours = talk.echo.as_bytes().starts_with(&back) || back.contains(&0x88);
        assert!(ours, "{}: {back:?}", talk.name);
    } else {
        assert!(rest.is_empty(), "{}: {rest:?}", talk.name);
    }
    all_n8ns
}

/// Asserts that a second client is served, also where it comes to the same connections.
async fn others_are_served(gateway: &Gateway, other: &mut Client, what: &str) {
    gateway.n8n.set_knife(None);
    gateway.n8n.set_script(Some(vec![Step::Mirror]));
    let answer = other.ask("GET /webhook/other").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "/webhook/other"), "{what}");
    // Longer than an idle connection to n8n and what is left of a tunnel last: the next exchange
    // begins with nothing.
    sleep(Duration::from_secs(10)).await;
}

/// Asserts that nothing of all that happened is left.
fn is_clean(gateway: &Gateway, what: &str) {
    let all = gateway.telemetry.exposition();
    for kind in ["https", "tunnel", "upstream"] {
        let none = format!("gateway_connections_open{{kind=\"{kind}\"}} 0");
        let never = !all.contains(&format!("kind=\"{kind}\""));
        assert!(never || all.contains(&none), "{what}: {kind}");
    }
    assert!(all.contains("gateway_requests_panicked_total 0"), "{what}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Clients,
    N8ns,
}

async fn every_byte(side: Side, stroke: Stroke) -> usize {
    let limits = "limits: { timeouts: { answer: 1m, stream: 1m, body: 1m, tunnel: 1m, idle: 1h } }\n\
                  rate_limits: { webhook: [] }\nbans: { never: [team] }\n";
    let gateway = Gateway::start(&format!("{POLICY}{limits}")).unwrap();
    let mut tried = 0;
    for talk in talks() {
        for way in [Way::Up, Way::Down] {
            // A handshake a byte would take most of the time.
            let mut other = gateway.client_h2(STRANGER).await;
            for at in 0.. {
                let what = format!("{}, {side:?} {way:?} {at} {stroke:?}", talk.name);
                let knife = Knife::new(way, at, stroke);
                gateway.n8n.set_script(Some(talk.n8n.clone()));
                drop(gateway.n8n.take_seen());
                let begun = gateway.n8n.requests_begun();
                let whole = match side {
                    Side::Clients => converse(&gateway, &talk, Some(knife.clone())).await,
                    Side::N8ns => {
                        gateway.n8n.set_knife(Some(knife.clone()));
                        converse(&gateway, &talk, None).await
                    }
                };
                let seen: Vec<_> =
                    gateway.n8n.take_seen().into_iter().map(|it| it.target).collect();
                let begun = gateway.n8n.requests_begun() - begun;
                assert!(begun <= talk.asks.len(), "{what}: seen again: {seen:?}");
                let mut once = seen.clone();
                once.dedup();
                assert_eq!(once, seen, "{what}");
                let struck = knife.has_struck();
                knife.put_away();
                others_are_served(&gateway, &mut other, &what).await;
                if !struck {
                    assert!(whole, "{what}: not even touched");
                    break;
                }
                assert_eq!(whole, matches!(stroke, Stroke::Late(_)), "{what}");
                tried += 1;
            }
            drop(other);
            sleep(Duration::from_secs(1)).await;
            is_clean(&gateway, &format!("{}, {side:?} {way:?} {stroke:?}", talk.name));
        }
    }
    tried
}

#[tokio::test(start_paused = true)]
async fn n8ns_wire_is_cut_at_every_byte() {
    assert!(every_byte(Side::N8ns, Stroke::Cut).await > 1000);
}

#[tokio::test(start_paused = true)]
async fn n8ns_wire_goes_dead_at_every_byte() {
    assert!(every_byte(Side::N8ns, Stroke::Lost).await > 1000);
}

#[tokio::test(start_paused = true)]
async fn n8ns_wire_is_held_up_at_every_byte() {
    assert!(every_byte(Side::N8ns, Stroke::Late(Duration::from_secs(2))).await > 1000);
}

#[tokio::test(start_paused = true)]
async fn a_clients_wire_is_cut_at_every_byte() {
    assert!(every_byte(Side::Clients, Stroke::Cut).await > 1000);
}

#[tokio::test(start_paused = true)]
async fn a_clients_wire_is_held_up_at_every_byte() {
    assert!(every_byte(Side::Clients, Stroke::Late(Duration::from_secs(2))).await > 1000);
}
