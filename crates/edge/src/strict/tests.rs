use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::Waker,
};

use gateway_policy::Pace;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::{prelude::*, sample::Index};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, Runtime},
    time::{Duration, timeout},
};

use super::*;
use crate::HeadSize;

const MOST: HeadSize = HeadSize { bytes: 32 * 1024, fields: 100, target: 8 * 1024 };

pub(super) const BOUNDS: Bounds = Bounds {
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    pace: Pace { stall: Duration::from_secs(30), rate: 256 },
    size: MOST,
    shared: false,
};

/// What can stand in a request, sound and not: anything that readers have been seen to differ on.
const PIECES: [&[u8]; 48] = [
    b"GET /a HTTP/1.1\r\n",
    b"POST /b?c=d HTTP/1.1\r\n",
    b"HEAD http://n8n.test/c HTTP/1.1\r\n",
    b"PUT /d HTTP/1.0\r\n",
    b"GET http://n8n.test/\xc3\xa9?a=\xc3\xa9 HTTP/1.1\r\n",
    b"GET /a?b=\xc3\xa9 HTTP/1.1\r\n",
    b"GET https://n8n.test?a=\"b HTTP/1.1\r\n",
    b"GET /a b HTTP/1.1\r\n",
    b"Host: n8n.test\r\n",
    b"Content-Length: 5\r\n",
    b"content-length: 0\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"transfer-encoding:\t CHUNKED \r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"Connection: close\r\n",
    b"X-A: \xc3\xa9\r\n",
    b"X-A: b\r\n c\r\n",
    b"X-A:\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nX-T: v\r\n\r\n",
    b"00000005\r\n",
    b"ffffffffffffffff\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xff",
    b":",
    b";",
    b",",
    b"GET",
    b"/",
    b"#",
    b"*",
    b"HTTP/1.1",
    b"CONNECT n8n.test:1 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: n8n.test\r\n\r\n",
];

/// A sound request.
fn sound() -> impl Strategy<Value = Vec<u8>> {
    let methods = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"]);
    let fields = prop::collection::vec("[A-Za-z-]{1,12}: ?[ -~\u{e9}\t]{0,20}", 0..4);
    let body = prop_oneof![
        Just(String::new()),
        "[ -~]{0,40}".prop_map(|it| format!("Content-Length: {}\r\n\r\n{it}", it.len())),
        prop::collection::vec("[ -~]{1,20}", 0..4).prop_map(|chunks| {
            let chunk = |it: &String| format!("{:x}\r\n{it}\r\n", it.len());
            let chunks: String = chunks.iter().map(chunk).collect();
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
        }),
    ];
    (methods, "/[a-z0-9/%?=&]{0,20}", fields, body).prop_map(|(method, target, fields, body)| {
        let fields: String = fields.iter().map(|it| format!("{it}\r\n")).collect();
        let body = if body.is_empty() { "\r\n" } else { &body };
        format!("{method} {target} HTTP/1.1\r\n{fields}{body}").into_bytes()
    })
}

/// Requests, and what is left of them when somebody has been at them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14);
    let edits = prop::collection::vec(
        (any::<Index>(), 0..3_u8, prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b' ')]),
        0..3,
    );
    let edited = (prop::collection::vec(sound(), 1..4), edits).prop_map(|(requests, edits)| {
        let mut bytes = requests.concat();
        for (at, how, byte) in edits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes.insert(at, byte),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => bytes
                    .splice(at..at, PIECES[usize::from(byte) % PIECES.len()].to_vec())
                    .for_each(drop),
            }
        }
        bytes
    });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => pieces.prop_map(|pieces| pieces.concat()),
        6 => edited,
    ]
}

/// How many bytes pass, and what is with the rest, if they come in these pieces. What asks for
/// another protocol is told that it stays.
fn seen<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (usize, Then) {
    let (mut wire, mut held, mut passed) = (Wire::default(), Vec::new(), 0);
    let mut then = Then::More;
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let seen = wire.look(&held);
            held.drain(..seen.passed);
            passed += seen.passed;
            then = seen.then;
            match then {
                Then::Answer => wire.stays(),
                Then::More => break,
                Then::BadHead(_) | Then::BadBody => return (passed, then),
            }
        }
    }
    (passed, then)
}

/// Where messages begin and end, as long as nothing is wrong.
fn messages(bytes: &[u8]) -> (Vec<usize>, Then) {
    let (mut wire, mut held, mut ends) = (Wire::default(), 0, vec![0]);
    for at in 0..=bytes.len() {
        let seen = wire.look(&bytes[held..at]);
        held += seen.passed;
        match seen.then {
            Then::Answer => wire.stays(),
            Then::More => {}
            wrong @ (Then::BadHead(_) | Then::BadBody) => return (ends, wrong),
        }
        if held == at && !wire.in_body() && at > 0 {
            ends.push(at);
        }
    }
    (ends, Then::More)
}

type Read = (String, String, Option<Vec<u8>>);

/// What hyper alone makes of the bytes: methods, targets and bodies, and whether it is content.
fn hyper_reads(runtime: &Runtime, bytes: &[u8]) -> (Vec<Read>, bool) {
    runtime.block_on(async {
        let read: Arc<Mutex<Vec<Read>>> = Arc::default();
        let (mut client, server) = duplex(1 << 20);
        let noted = Arc::clone(&read);
        let service = service_fn(move |request: Request<Incoming>| {
            let noted = Arc::clone(&noted);
            async move {
                let (head, mut body) = request.into_parts();
                let mut whole = Some(Vec::new());
                while let Some(frame) = body.frame().await {
                    let data = frame.ok().map(|it| it.into_data().unwrap_or_default());
                    whole = whole.zip(data).map(|(whole, data)| [whole, data.to_vec()].concat());
                }
                noted.lock().unwrap().push((head.method.to_string(), head.uri.to_string(), whole));
                Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
            }
        });
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut builder = http1::Builder::new();
        builder.half_close(true).max_headers(MOST.fields).max_buf_size(MOST.bytes);
        let served = builder.serve_connection(TokioIo::new(server), service).await;
        let read = read.lock().unwrap().clone();
        (read, served.is_ok())
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_verdict_does_not_depend_on_how_bytes_come(
        bytes in bytes(),
        cuts in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let whole = seen(std::iter::once(&*bytes));
        prop_assert_eq!(seen(bytes.chunks(1)), whole, "one by one");
        let mut cuts: Vec<_> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        prop_assert_eq!(seen(cuts.windows(2).map(|it| &bytes[it[0]..it[1]])), whole, "{:?}", cuts);
    }

    #[test]
    fn what_passes_is_read_alike_by_hyper(bytes in bytes()) {
        let (ends, _) = messages(&bytes);
        let (runtime, mut alone) = (runtime(), Vec::new());
        for message in ends.windows(2).map(|it| &bytes[it[0]..it[1]]) {
            let (read, content) = hyper_reads(&runtime, message);
            prop_assert!(content, "hyper refuses {:?}", message.escape_ascii().to_string());
            prop_assert_eq!(read.len(), 1, "{:?}", message.escape_ascii().to_string());
            prop_assert!(read[0].2.is_some(), "its body has an end");
            alone.extend(read);
        }
        // Together they are what they are alone, until one asks to be the last.
        let passed = ends.last().copied().unwrap_or_default();
        let (together, content) = hyper_reads(&runtime, &bytes[..passed]);
        prop_assert!(content);
        prop_assert!(alone.is_empty() || !together.is_empty());
        prop_assert_eq!(&together[..], &alone[..together.len()]);
    }
}

#[test]
fn sound_requests_pass() {
    let fields = |count: usize| {
        let fields: String = (0..count).map(|it| format!("X-{it}: v\r\n")).collect();
        format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes()
    };
    let long =
        |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1)).into_bytes();
    let large = |length: usize| {
        let value = "v".repeat(length - "GET / HTTP/1.1\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nX: {value}\r\n\r\n").into_bytes()
    };
    let runtime = runtime();
    for (bytes, then) in [
        (fields(MOST.fields), Then::More),
        (fields(MOST.fields + 1), Then::BadHead(Flaw::ManyFields)),
        (long(MOST.target), Then::More),
        (long(MOST.target + 1), Then::BadHead(Flaw::LongTarget)),
        (large(MOST.bytes), Then::More),
        (large(MOST.bytes + 1), Then::BadHead(Flaw::LongHead)),
    ] {
        let passed = if then == Then::More { bytes.len() } else { 0 };
        assert_eq!(seen(std::iter::once(&*bytes)), (passed, then));
        assert_eq!(seen(bytes.chunks(1)), (passed, then));
        let sound = then == Then::More;
        assert!(!sound || hyper_reads(&runtime, &bytes).0.len() == 1, "hyper takes it");
    }
}

#[test]
fn each_flaw_can_be_found() {
    let found = [
        (Flaw::RequestLine, "GET / HTTP/1.2"),
        (Flaw::NoPath, "GET a "),
        (Flaw::Target, "GET /# "),
        (Flaw::LongTarget, ""),
        (Flaw::Asterisk, "OPTIONS * "),
        (Flaw::Connect, "CONNECT "),
        (Flaw::Name, "GET / HTTP/1.1\r\n "),
        (Flaw::Value, "GET / HTTP/1.1\r\na:\0"),
        (Flaw::LineEnd, "GET / HTTP/1.1\r\na:\n"),
        (Flaw::LongHead, ""),
        (Flaw::ManyFields, ""),
        (Flaw::Length, "GET / HTTP/1.1\r\ncontent-length:\r\n"),
        (Flaw::Coding, "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n"),
        (
            Flaw::LengthAndCoding,
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
        ),
        (Flaw::Late, ""),
    ];
    assert!(found.iter().map(|it| it.0).eq(Flaw::all()), "a line for each");
    for (flaw, head) in found.iter().filter(|it| !it.1.is_empty()) {
        assert_eq!(seen(std::iter::once(head.as_bytes())).1, Then::BadHead(*flaw), "{head}");
        let less = &head.as_bytes()[..head.len() - 1];
        assert_eq!(seen(std::iter::once(less)).1, Then::More, "its last byte decides: {head}");
    }
}

#[test]
fn a_version_is_one_of_two() {
    for (minor, then) in [("0", Then::More), ("1", Then::More)]
        .into_iter()
        .chain(["?", "2", "11", "", "x"].map(|it| (it, Then::BadHead(Flaw::RequestLine))))
    {
        let head = format!("GET / HTTP/1.{minor}\r\n\r\n");
        assert_eq!(seen(std::iter::once(head.as_bytes())).1, then, "{head}");
    }
}

/// A client and what it is read as.
fn strict() -> (DuplexStream, Strict<DuplexStream>, Arc<Flow>) {
    let (client, server) = duplex(1 << 20);
    let flow = Arc::new(Flow::default());
    (client, Strict::new(server, Arc::clone(&flow), &BOUNDS, Arc::default()), flow)
}

/// What can be read now.
async fn now(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (mut bytes, mut all) = ([0; 7], Vec::new());
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_millis(5), io.read(&mut bytes)).await {
        all.extend_from_slice(&bytes[..read]);
    }
    all
}

const UPGRADE: &[u8] = b"GET /push HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn after_an_upgrade_bytes_are_the_other_protocols() {
    let (mut client, mut strict, flow) = strict();
    client.write_all(&[UPGRADE, b"\x81\x05\n\n\n"].concat()).await.unwrap();
    assert_eq!(now(&mut strict).await, UPGRADE);
    assert!(flow.asked().is_none());
    flow.answered(StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(now(&mut strict).await, b"\x81\x05\n\n\n");
    client.write_all(b"\0\0 anything\n").await.unwrap();
    assert_eq!(now(&mut strict).await, b"\0\0 anything\n");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_refused_is_no_way_around() {
    let (mut client, mut strict, flow) = strict();
    client.write_all(&[b"GET / HTTP/1.1\r\n\r\n", UPGRADE].concat()).await.unwrap();
    now(&mut strict).await;
    client.write_all(b"GET /smuggled HTTP/1.1\n\r\n\r\n").await.unwrap();
    assert!(flow.asked().is_none());
    // An answer to what came before it says nothing of it.
    flow.answered(StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(now(&mut strict).await, b"");
    assert!(flow.asked().is_none());
    flow.answered(StatusCode::OK);
    let stand_in = now(&mut strict).await;
    assert_eq!(stand_in, b"GET /smuggled HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!(flow.asked(), Some(Flaw::RequestLine));
    drop(client);
    assert_eq!(now(&mut strict).await, b"", "nothing is read after it");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_upgrade_and_leaves_is_noticed() {
    let (mut client, mut strict, _) = strict();
    client.write_all(UPGRADE).await.unwrap();
    now(&mut strict).await;
    drop(client);
    let mut bytes = [0; 1];
    assert_eq!(strict.read(&mut bytes).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_in_pieces_passes_whole_and_holds_nothing_afterwards() {
    let (mut client, mut strict, _) = strict();
    let head = b"GET / HTTP/1.1\r\nHost: n8n.test\r\n\r\n";
    for byte in &head[..head.len() - 1] {
        client.write_all(&[*byte]).await.unwrap();
        assert_eq!(now(&mut strict).await, b"");
    }
    client.write_all(b"\nGET").await.unwrap();
    assert_eq!(now(&mut strict).await, head);
    client.write_all(b" / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(now(&mut strict).await, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(strict.held.capacity(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_still_sends_when_it_is_answered_is_heard_out_for_a_while() {
    let (mut client, mut strict, _) = strict();
    client.write_all(b"\0").await.unwrap();
    now(&mut strict).await;
    let goodbye = timeout(FAREWELL / 2, strict.shutdown()).await;
    assert!(goodbye.is_err(), "it could still send");
    drop(client);
    strict.shutdown().await.unwrap();
    // Somebody who is done is not waited for.
    let (_client, mut strict, _) = self::strict();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut strict).poll_shutdown(cx).is_ready());
}
