//! Raw requests, byte for byte, and what becomes of each: `wire.txt`, to be read by a person.

use gateway_testkit::{Gateway, POLICY};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout},
};

/// What no request may make n8n read: every case that pretends something pretends one of these.
const PRETENDED: [&str; 3] = ["9.9.9.9", "evil", "smuggled"];

struct Case<'c> {
    name: &'c str,
    /// The status of the answer.
    status: &'c str,
    /// How many requests n8n sees.
    passes: usize,
    raw: String,
}

fn cases() -> Vec<Case<'static>> {
    let case = |block: &'static str| {
        let (head, raw) = block.split_once('\n').unwrap();
        let [name, status, passes] = head.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not `name status requests`: {head}");
        };
        let raw = raw.strip_suffix('\n').unwrap_or(raw).replace('\n', "\r\n");
        let raw = raw.replace("<LF>", "\n").replace("<TAB>", "\t").replace("<CRLF>", "\r\n");
        Case { name, status, passes: passes.parse().unwrap(), raw }
    };
    include_str!("wire.txt").split("== ").skip(1).map(case).collect()
}

#[tokio::test]
async fn every_raw_request_has_its_outcome() {
    let cases = cases();
    assert!(cases.len() > 40, "{}", cases.len());
    for case in cases {
        let gateway = Gateway::start(POLICY).unwrap();
        let mut io =
            gateway.secure(gateway.dial("203.0.113.9"), "n8n.test", "http/1.1").await.unwrap();
        io.write_all(case.raw.as_bytes()).await.unwrap();
        // A hang would be a finding of its own.
        let answer = timeout(Duration::from_secs(20), first_answer(&mut io)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{}: no answer", case.name));
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        assert_eq!(status, case.status, "{}: {answer}", case.name);
        let seen = gateway.n8n.seen();
        assert_eq!(seen.len(), case.passes, "{}: {seen:?}", case.name);
        for request in seen {
            let told = format!("{} {:?}", request.target, request.headers);
            for pretended in PRETENDED {
                assert!(!told.contains(pretended), "{}: {told}", case.name);
            }
            assert_eq!(request.headers["x-forwarded-for"], "203.0.113.9", "{}", case.name);
            assert_eq!(request.headers["host"], "n8n.test", "{}", case.name);
        }
    }
}

/// The first bytes of the first answer that is not an interim one.
async fn first_answer(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    loop {
        let mut bytes = vec![0; 4096];
        let read = io.read(&mut bytes).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(bytes.get(..read).unwrap()));
        text = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n").to_owned();
        if read == 0 || !text.is_empty() {
            return text;
        }
    }
}
