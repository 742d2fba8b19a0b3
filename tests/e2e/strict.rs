//! Raw requests that strict reading is about, and for what reason each is refused: `strict.txt`, to
//! be read by a person.

use gateway_testkit::{Gateway, POLICY};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout},
};

const STRANGER: &str = "203.0.113.9";

struct Case<'c> {
    name: &'c str,
    /// Its name, the last answer's status, how many requests n8n sees to their end, and for what the
    /// last one is refused, `-` if it is not.
    outcome: &'c str,
    raw: Vec<u8>,
}

/// The bytes of a text: a line's end is CRLF, `<LF>` and the like stand for what cannot be seen,
/// `<a*9>` for nine of them, and `<.>` at a line's end for none.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.strip_suffix('\n').unwrap_or(text).replace("<.>\n", "").replace('\n', "\r\n");
    let mut raw = Vec::new();
    let mut rest = &*text;
    while let Some((plain, more)) = rest.split_once('<') {
        let (token, more) = more.split_once('>').unwrap();
        raw.extend(plain.bytes());
        match (token, token.split_once('*')) {
            (_, Some((piece, times))) => raw.extend(piece.repeat(times.parse().unwrap()).bytes()),
            ("LF", _) => raw.push(b'\n'),
            ("CR", _) => raw.push(b'\r'),
            ("TAB", _) => raw.push(b'\t'),
            ("LT", _) => raw.push(b'<'),
            ("FIELDS", _) => (0..100).for_each(|it| raw.extend(format!("X-{it}: v\r\n").bytes())),
            (hex, _) => raw.push(u8::from_str_radix(hex, 16).unwrap()),
        }
        rest = more;
    }
    raw.extend(rest.bytes());
    raw
}

fn cases() -> Vec<Case<'static>> {
    let case = |block: &'static str| {
        let (outcome, text) = block.split_once('\n').unwrap();
        let (name, _) = outcome.split_once(' ').unwrap();
        Case { name, outcome, raw: bytes(text) }
    };
    include_str!("strict.txt").split("== ").skip(1).map(case).collect()
}

/// All that comes until the other side closes, or has said nothing for a while.
async fn answers(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> (String, bool) {
    let mut text = String::new();
    let mut bytes = vec![0; 4096];
    let quiet = |text: &str| Duration::from_millis(if text.is_empty() { 20_000 } else { 200 });
    while let Ok(read) = timeout(quiet(&text), io.read(&mut bytes)).await {
        let read = read.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(bytes.get(..read).unwrap()));
        if read == 0 {
            return (text, true);
        }
    }
    (text, false)
}

fn accesses(gateway: &Gateway) -> Vec<Value> {
    gateway.log().into_iter().filter(|it| it["event"] == "access").collect()
}

#[tokio::test]
async fn what_has_no_one_meaning_is_refused_for_a_reason() {
    let cases = cases();
    assert!(cases.len() > 90, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let gateway = Gateway::start(POLICY).unwrap();
        let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
        // A gateway that refuses may not want to hear the rest.
        drop(io.write_all(&case.raw).await);
        let (text, closed) = answers(&mut io).await;
        let last = text.rsplit("HTTP/1.1 ").next().unwrap();
        let status = last.split(' ').next().unwrap();
        let seen = gateway.n8n.seen();
        let whole = seen.iter().filter(|it| it.body.is_some()).count();
        let access = accesses(&gateway).pop().unwrap_or_default();
        let reason = access["reason"].as_str().unwrap_or("-");
        let outcome = format!("{} {status} {whole} {reason}", case.name);
        if outcome != case.outcome || (reason != "-" && !closed) {
            wrong.push(format!("{} became {outcome}, closed: {closed}", case.outcome));
        }
        assert!(!format!("{seen:?}").contains("smuggled"), "{}: {seen:?}", case.name);
        let count = format!("reason=\"{reason}\"");
        let counted = gateway.telemetry.exposition().contains(&count);
        assert!(reason == "-" || counted, "{}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_page_is_for_whom_reads_pages() {
    let gateway = Gateway::start(POLICY).unwrap();
    let mut io = gateway.secure(gateway.dial(STRANGER), "n8n.test", "http/1.1").await.unwrap();
    let cookies = "a".repeat(40_000);
    let head = format!("GET / HTTP/1.1\r\nAccept: text/html,*/*\r\nCookie: {cookies}\r\n\r\n");
    drop(io.write_all(head.as_bytes()).await);
    let (text, _) = answers(&mut io).await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    assert!(text.contains("text/html") && text.contains("x-request-id"), "{text}");
}

#[tokio::test]
async fn on_the_port_in_clear_it_is_refused_and_counted_alike() {
    let bans = "bans: { jails: { protocol: { max_retry: 2 } } }\n";
    let gateway = Gateway::start(&format!("{POLICY}{bans}")).unwrap();
    for _ in 0..2 {
        let mut io = gateway.dial_http(STRANGER);
        io.write_all(b"GET / HTTP/1.1\nHost: n8n.test\r\n\r\n").await.unwrap();
        let (text, closed) = answers(&mut io).await;
        assert!(text.starts_with("HTTP/1.1 400 ") && closed, "{text}");
    }
    let banned = gateway.log().into_iter().find(|it| it["event"] == "banned").unwrap();
    assert_eq!(banned["jail"], "protocol");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asked_for_an_upgrade_in_vain_is_closed_in_order() {
    let gateway = Gateway::start(POLICY).unwrap();
    let io = gateway.secure(gateway.dial("192.0.2.1"), "n8n.test", "http/1.1").await;
    let mut io = io.unwrap();
    let asked = b"GET / HTTP/1.1\r\nHost: n8n.test\r\nUpgrade: h2c\r\n\r\n";
    io.write_all(asked).await.unwrap();
    let mut byte = [0; 12];
    io.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"HTTP/1.1 200");
    io.write_all(b"X\0 and what follows it").await.unwrap();
    let mut rest = Vec::new();
    // Without TLS's own end this is an error: the answer could have been cut short.
    io.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 400"));
}
