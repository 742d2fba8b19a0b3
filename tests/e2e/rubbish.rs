//! An n8n that says what is no answer, or more than one: whoever asks gets an answer or a broken one,
//! and nobody gets another's.

use std::time::Duration;

use bytes::Bytes;
use gateway_testkit::{Client, Gateway, POLICY, Step};
use http_body_util::{BodyExt, channel::Channel};
use tokio::time::{sleep, timeout};

const STRANGER: &str = "203.0.113.9";

/// What a client gets: a whole answer, or nothing, or a part and then an error.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Whole(u16, String),
    Broken,
}

async fn get(client: &mut Client, method: &str, h2: bool) -> Got {
    let mut request = Gateway::request(&format!("{method} /webhook/x"), "");
    if h2 {
        request.headers_mut().remove("host");
        *request.uri_mut() = "https://n8n.test/webhook/x".parse().unwrap();
    }
    let Ok(answer) = client.send(request).await else { return Got::Broken };
    let status = answer.status().as_u16();
    let (mut body, mut text) = (answer.into_body(), String::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Got::Broken };
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    // The gateway's own answers are long and say so.
    let own = text.contains("requestId");
    Got::Whole(status, if own { "own".to_owned() } else { text })
}

fn policy() -> String {
    format!("{POLICY}limits: {{ timeouts: {{ answer: 1m, stream: 10m }} }}\n")
}

fn whole(status: u16, body: &str) -> Got {
    Got::Whole(status, body.to_owned())
}

/// An answer and what becomes of it: `rubbish.txt`, to be read by a person.
struct Case {
    name: &'static str,
    method: &'static str,
    got: Got,
    /// Whether its connection may be used again.
    kept: bool,
    raw: Bytes,
    /// Whether n8n closes it.
    ends: bool,
}

fn cases() -> Vec<Case> {
    let case = |block: &'static str| {
        let [name, told, raw] = block.splitn(3, '\n').collect::<Vec<_>>()[..] else {
            panic!("not a name, a line and an answer: {block}");
        };
        let [method, got, kept] = told.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not `method | outcome | connection`: {told}");
        };
        let got = match got.split_once(' ').unwrap_or((got, "")) {
            ("broken", _) => Got::Broken,
            (status, body) => whole(status.parse().unwrap(), body),
        };
        let raw = raw.strip_suffix('\n').unwrap_or(raw);
        let (raw, ends) = raw.strip_suffix("<END>").map_or((raw, false), |raw| (raw, true));
        let raw = raw.replace('\n', "\r\n").replace("<LF>", "\n");
        let raw = raw.replace("<300 KiB>", &"x".repeat(300 << 10));
        let raw = raw.replace("<500 fields>", &"x: y\r\n".repeat(500));
        Case { name, method, got, kept: kept == "kept", raw: Bytes::from(raw), ends }
    };
    include_str!("rubbish.txt").split("== ").skip(1).map(case).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_n8n_says_has_its_outcome() {
    let cases = cases();
    assert!(cases.len() > 30, "{}", cases.len());
    for (case, h2) in cases.iter().flat_map(|case| [(case, false), (case, true)]) {
        let name = format!("{}, HTTP/2: {h2}", case.name);
        let gateway = Gateway::start(&policy()).unwrap();
        let mut script = vec![Step::Request, Step::Say(case.raw.clone())];
        if !case.ends {
            // The second answer on a connection comes to the second request and to no other.
            script.push(Step::Mirror);
        }
        gateway.n8n.set_script(Some(script));
        let dial = async || match h2 {
            true => gateway.client_h2(STRANGER).await,
            false => gateway.client(STRANGER).await,
        };
        let got = timeout(Duration::from_mins(20), get(&mut dial().await, case.method, h2)).await;
        assert_eq!(got.unwrap_or_else(|_| panic!("{name}: no answer")), case.got, "{name}");
        assert_eq!(gateway.n8n.seen().len(), 1, "{name}: asked once");

        gateway.n8n.set_script(Some(vec![Step::Mirror]));
        assert_eq!(get(&mut dial().await, "GET", h2).await, whole(200, "/webhook/x"), "{name}");
        let connections = if case.kept { 1 } else { 2 };
        assert_eq!(gateway.n8n.connections(), connections, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_on_an_idle_connection_is_nobodys_answer() {
    let gateway = Gateway::start(&policy()).unwrap();
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let unasked = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nANOTHER";
    for pause in [0, 1, 100, 2000] {
        let pause = Step::Wait(Duration::from_millis(pause));
        let script = [Step::Request, Step::say(first), pause, Step::say(unasked), Step::Read];
        gateway.n8n.set_script(Some(script.into()));
        for _ in 0..3 {
            let mut client = gateway.client(STRANGER).await;
            assert_eq!(get(&mut client, "GET", false).await, whole(200, "hello"));
            sleep(Duration::from_secs(3)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_become_one_are_given_up() {
    let interim = Bytes::from_static(b"HTTP/1.1 102 Processing\r\n\r\n");
    let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\nx: ");
    let endless = Bytes::from(vec![b'x'; 200 * 1024]);
    let second = Duration::from_secs(1);
    for (name, steps, status) in [
        ("interim answers", vec![Step::Request, Step::Flood(interim.clone())], 502),
        (
            "a head that drips",
            vec![Step::Request, Step::Say(head), Step::Drip(endless, second)],
            502,
        ),
        ("silence", vec![Step::Request, Step::Hang], 504),
        ("nothing is read", vec![Step::Hang], 504),
    ] {
        let gateway = Gateway::start(&policy()).unwrap();
        gateway.n8n.set_script(Some(steps));
        let got = get(&mut gateway.client(STRANGER).await, "POST", false).await;
        assert_eq!(got, whole(status, "own"), "{name}");
        let all = gateway.telemetry.exposition();
        assert!(
            all.contains("gateway_upstream_circuit_open{upstream=\"http://127.0.0.1:5678\"} 0")
                || !all.contains("circuit_open{"),
            "{name}"
        );
        sleep(second).await;
        let all = gateway.telemetry.exposition();
        assert!(all.contains("gateway_connections_open{kind=\"upstream\"} 0"), "{name}: {all}");
    }
}

/// A slow answer is no dripping one, also after an interim answer.
#[tokio::test(start_paused = true)]
async fn an_execution_may_take_its_time_before_its_head() {
    let gateway = Gateway::start(&policy()).unwrap();
    let long = Step::Wait(Duration::from_mins(9));
    let sound = Step::say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let interim = Step::say("HTTP/1.1 102 Processing\r\n\r\n");
    let once = [Step::Request, interim, long.clone(), sound.clone()];
    let again = [Step::Request, long, sound, Step::Read];
    gateway.n8n.set_script(Some([once, again].concat()));
    for _ in 0..2 {
        let got = get(&mut gateway.client(STRANGER).await, "POST", false).await;
        assert_eq!(got, whole(200, "hello"));
    }
    assert_eq!(gateway.n8n.connections(), 1);
}

/// The client gets n8n's answer while it still sends; n8n's connection is closed, and so is an upload
/// that nobody reads.
#[tokio::test(start_paused = true)]
async fn an_answer_before_the_requests_end_is_the_answer() {
    let no = Step::say("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    let closing = Step::say("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
    for (name, after, status, h2) in [
        ("hangs", vec![Step::Head, no.clone(), Step::Hang], 413, false),
        ("reads on", vec![Step::Head, no.clone(), Step::Read], 413, false),
        ("closes", vec![Step::Head, closing.clone()], 401, false),
        ("hangs, HTTP/2", vec![Step::Head, no, Step::Hang], 413, true),
        ("closes, HTTP/2", vec![Step::Head, closing], 401, true),
    ] {
        let gateway = Gateway::start(&policy()).unwrap();
        gateway.n8n.set_script(Some(after));
        let mut client = match h2 {
            true => gateway.client_h2(STRANGER).await,
            false => gateway.client(STRANGER).await,
        };
        let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
        let mut request = Gateway::request("POST /webhook/x", "").map(|_| body);
        if h2 {
            request.headers_mut().remove("host");
            *request.uri_mut() = "https://n8n.test/webhook/x".parse().unwrap();
        }
        // More than all buffers between the client and n8n hold.
        let upload = async move {
            let mut sent = 0;
            while sent < 64 && sender.send_data(Bytes::from(vec![7; 1 << 20])).await.is_ok() {
                sent += 1;
            }
            sent
        };
        let answered = async {
            let answer = client.send(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().frame().await.unwrap().unwrap();
            (status, body.into_data().unwrap())
        };
        let both = async { tokio::join!(answered, upload) };
        let (got, sent) = timeout(Duration::from_mins(5), both).await.expect(name);
        assert_eq!(got, (status, Bytes::from_static(b"no")), "{name}");
        assert!(sent < 64, "{name}: the upload goes nowhere: {sent} MiB");
        let all = gateway.telemetry.exposition();
        assert!(all.contains("gateway_connections_open{kind=\"upstream\"} 0"), "{name}");
        assert_eq!(gateway.n8n.seen().len(), 1, "{name}");
    }
}
