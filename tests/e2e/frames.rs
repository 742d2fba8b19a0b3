//! HTTP/2 frame by frame, and what becomes of each connection: `frames.txt`, to be read by a person.

use std::time::Duration;

use gateway_testkit::{
    Frame, Frames, Gateway, POLICY,
    frames::{KINDS, PREFACE, block},
};

const STRANGER: &str = "203.0.113.9";
const SILENCE: Duration = Duration::from_secs(5);

/// What `@` stands for, as HPACK: GET, https, /webhook/c, n8n.test, the last one for the table.
const SOUND: &str = "8287040a2f776562686f6f6b2f6341086e386e2e74657374";

const FLAGS: [(&str, u8); 5] =
    [("ACK", 1), ("END_STREAM", 1), ("END_HEADERS", 4), ("PADDED", 8), ("PRIORITISED", 32)];

struct Case<'c> {
    /// Its name, what the client hears, how many requests n8n sees to their end, and for what reason
    /// the last one is refused, if it is.
    outcome: &'c str,
    name: &'c str,
    lines: Vec<&'c str>,
}

fn cases() -> Vec<Case<'static>> {
    let case = |block: &'static str| {
        let (outcome, lines) = block.split_once('\n').unwrap();
        let (name, _) = outcome.split_once(' ').unwrap();
        let lines = lines.lines().filter(|it| !it.is_empty() && !it.starts_with('#'));
        Case { outcome, name, lines: lines.collect() }
    };
    include_str!("frames.txt").split("== ").skip(1).map(case).collect()
}

/// The bytes of a text: `<0D>` stands for a byte, `<a*9>` for nine of them.
fn bytes(text: &str) -> Vec<u8> {
    let (mut raw, mut rest) = (Vec::new(), text);
    while let Some((plain, more)) = rest.split_once('<') {
        let (token, more) = more.split_once('>').unwrap();
        raw.extend(plain.bytes());
        match token.split_once('*') {
            Some((piece, times)) => raw.extend(piece.repeat(times.parse().unwrap()).bytes()),
            None => raw.push(u8::from_str_radix(token, 16).unwrap()),
        }
        rest = more;
    }
    raw.extend(rest.bytes());
    raw
}

/// The fields of a header block: `name: value` each.
fn fields(lines: &[&str]) -> Vec<u8> {
    let mut pairs = Vec::new();
    for line in lines {
        if *line == "MANY" {
            // n8n gets some of ours besides, and takes 100 altogether.
            pairs.extend((0..90).map(|it| (format!("x-{it}").into_bytes(), b"v".to_vec())));
            continue;
        }
        // A pseudo-header's name begins with a colon.
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a field: {line}"));
        pairs.push((bytes(name), bytes(value)));
    }
    block(pairs)
}

/// A payload: pieces of hexadecimal digits, `00*9` for nine of them, `"text"` and [`SOUND`].
fn payload<'p>(pieces: impl Iterator<Item = &'p str>) -> Vec<u8> {
    let hex = |digits: &str| -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|it| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap()).collect()
    };
    let piece = |piece: &str| match (piece.strip_prefix('"'), piece.split_once('*')) {
        _ if piece == "@" => hex(SOUND),
        (Some(text), _) => text.trim_end_matches('"').as_bytes().to_vec(),
        (None, Some((digits, times))) => hex(digits).repeat(times.parse().unwrap()),
        (None, None) => hex(piece),
    };
    pieces.flat_map(piece).collect()
}

/// One frame: `KIND stream FLAGS payload`, with its fields below it; `GET`, `POST` and the like for
/// the beginning of a request, whole if it is `GET`.
fn frame(line: &str, below: &[&str]) -> Frame {
    let (kind, rest) = line.split_once(' ').unwrap();
    let mut words = rest.split(' ').peekable();
    let stream: u32 = words.next().unwrap().parse().unwrap();
    if let "GET" | "HEAD" | "POST" = kind {
        let path = words.next().unwrap_or("/webhook/c");
        let mut request = Frame::request(kind, path, stream, kind != "POST");
        request.payload.extend(fields(below));
        return request;
    }
    let flag = |word: &str| FLAGS.iter().find(|(name, _)| *name == word).map(|(_, flag)| *flag);
    let mut flags = 0;
    while let Some(flag) = words.peek().copied().and_then(flag) {
        flags += flag;
        words.next();
    }
    let mut whole = payload(words);
    whole.extend(fields(below));
    match kind.strip_prefix("KIND-") {
        Some(kind) => {
            let kind = u8::from_str_radix(kind, 16).unwrap();
            Frame { kind, flags, stream, payload: whole }
        }
        None => Frame::new(kind, flags, stream, whole),
    }
}

/// What a client notices.
fn notable(frame: &Frame) -> Option<String> {
    match frame.name() {
        "HEADERS" => Some(frame.status().map_or_else(|| "answer".to_owned(), |it| it.to_string())),
        "RST_STREAM" | "GOAWAY" => Some(format!("{}={}", frame.name(), frame.code())),
        "PING" if frame.flags == 1 => Some("PONG".to_owned()),
        _ => None,
    }
}

async fn outcome(case: &Case<'_>) -> String {
    let gateway = Gateway::start(POLICY).unwrap();
    let bare = case.lines.first() == Some(&"BARE");
    let mut wire = Frames::silent(&gateway, STRANGER).await;
    if !bare {
        wire.write(PREFACE).await;
        wire.send(&Frame::new("SETTINGS", 0, 0, [])).await;
    }
    let mut heard = Vec::new();
    let mut lines = case.lines.iter().skip(usize::from(bare)).peekable();
    while let Some(line) = lines.next() {
        if *line == "WAIT" {
            heard.extend(wire.rest(SILENCE).await.0);
            continue;
        }
        let sent = if *line == "PREFACE" {
            wire.write(PREFACE).await
        } else if let Some(raw) = line.strip_prefix("RAW ") {
            wire.write(&bytes(raw)).await
        } else {
            let mut below = Vec::new();
            while let Some(field) = lines.next_if(|it| it.starts_with("  ")) {
                below.push(field.trim_start());
            }
            wire.send(&frame(line, &below)).await
        };
        // Whoever is told to go may not be heard to the end.
        if !sent {
            break;
        }
    }
    let (more, closed) = wire.rest(SILENCE).await;
    heard.extend(more);
    let mut heard: Vec<String> = heard.iter().filter_map(notable).collect();
    if closed {
        heard.push("closed".to_owned());
    }
    let seen = gateway.n8n.seen();
    assert!(!format!("{seen:?}").contains("smuggled"), "{}: {seen:?}", case.name);
    let whole = seen.iter().filter(|it| it.body.is_some()).count();
    heard.push(whole.to_string());
    let access =
        gateway.log().into_iter().rfind(|it| it.get("event").is_some_and(|it| it == "access"));
    heard.extend(access.and_then(|it| it.get("reason")?.as_str().map(str::to_owned)));
    format!("{} {}", case.name, heard.join(" "))
}

#[tokio::test(start_paused = true)]
async fn every_frame_has_its_outcome() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        for kind in case.lines.iter().filter_map(|it| it.split(' ').next()) {
            let known = ["GET", "HEAD", "POST", "WAIT", "BARE", "PREFACE", "RAW", ""];
            let kind = kind.trim();
            let named = KINDS.contains(&kind) || known.contains(&kind) || kind.starts_with("KIND-");
            assert!(named, "{}: {kind}", case.name);
        }
        let outcome = outcome(case).await;
        if outcome != case.outcome {
            wrong.push(format!("{}\n  became {outcome}", case.outcome));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 190, "{}", cases.len());
}
