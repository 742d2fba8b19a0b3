//! Everything that strangers may start: webhooks, forms, executions that wait, chats, MCP tools.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Version};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::{
    client::{Answer, Client},
    installation::Installation,
    owner::{Owner, until_published},
    processes::{PATIENCE, eventually, step},
};

/// The end of every path in `workflows`, so that the log can be searched for it.
const SECRET: &str = "c41d7a9e";

pub(crate) const ECHO: &str = "/webhook/echo-c41d7a9e";
const FORM: &str = "/form/upload-c41d7a9e";
const START_WAIT: &str = "/webhook/start-wait-c41d7a9e";
pub(crate) const CHAT: &str = "/webhook/44444444-4444-4444-8444-444444444444/chat";
const MCP: &str = "/mcp/tools-c41d7a9e";

/// More than n8n takes as JSON, less than it takes as a file.
const LARGE: usize = 30 << 20;

/// Runs them all and tells what must not be in a log.
pub(crate) async fn all(owner: &Owner, installation: &Installation) -> Vec<String> {
    let stranger = &installation.stranger;
    let mut secrets = vec![SECRET.to_owned(), "44444444-4444".to_owned()];
    webhook(owner, stranger).await;
    uploads(installation).await;
    secrets.push(form(owner, stranger).await);
    secrets.push(resume(owner, stranger).await);
    chat(owner, stranger).await;
    secrets.push(mcp(owner, stranger).await);
    secrets
}

/// A webhook hears who calls from the gateway, and from nobody else.
async fn webhook(owner: &Owner, stranger: &Client) {
    step("webhook");
    owner.publish(include_str!("workflows/echo.json")).await;
    until_published(stranger, "GET", ECHO).await;
    let spoofed = [
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=9.9.9.9"),
        ("x-real-ip", "9.9.9.9"),
    ];
    let get = Request::get(format!("{ECHO}?q=1&q=2"));
    let get = spoofed.iter().fold(get, |get, (name, value)| get.header(*name, *value));
    let heard = stranger.send(get, "").await.is(200).json();
    assert_eq!(heard["query"], json!({"q": ["1", "2"]}), "{heard}");
    let public = stranger.authority();
    let headers = [
        ("x-forwarded-for", Some("127.0.0.2")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some(public.as_str())),
        ("host", Some(public.as_str())),
        ("forwarded", None),
        ("x-real-ip", None),
    ];
    for (name, value) in headers {
        assert_eq!(heard["headers"][name].as_str(), value, "{name} in {heard}");
    }
    let url = heard["webhookUrl"].as_str().unwrap();
    assert_eq!(url, format!("{}{ECHO}", stranger.origin()));

    let order = json!({"order": 7, "text": "ä€😀"});
    let heard = stranger.send_json(Request::post(ECHO), &order).await.is(200).json();
    assert_eq!(heard["body"], order, "{heard}");
}

/// Large files pass; what is too large is refused before n8n hears of it.
async fn uploads(installation: &Installation) {
    let Installation { gateway, stranger, .. } = installation;
    step("large uploads");
    let file = Bytes::from(vec![b'x'; LARGE]);
    let (kind, body) = multipart(&[("note", None, b"hi"), ("file", Some("big.bin"), &file)]);
    let post = |kind: &str| Request::post(ECHO).header("content-type", kind);
    let heard = stranger.send(post(&kind), body).await.is(200).json();
    assert_eq!(heard["body"], json!({"note": "hi"}), "{heard}");
    assert_eq!(heard["binary"]["file"]["bytes"], LARGE, "{heard}");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let post = post("application/octet-stream").version(version);
        let heard = stranger.send(post, file.clone()).await.is(200).json();
        assert_eq!(heard["binary"]["data"]["bytes"], LARGE, "{version:?} {heard}");
    }

    step("an upload that is too large");
    let lines = format!("POST {ECHO} HTTP/1.1\r\nContent-Length: {}", 201 << 20);
    let head = stranger.send_head_only(&lines).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    let record = gateway.record(id).await;
    assert_eq!(record["status"], 413, "{record}");
    assert_eq!(record["n8n_status"], Value::Null, "{record}");
}

/// A form of two pages with a file. Its pages live in a sandbox: `Origin: null`, no cookie.
async fn form(owner: &Owner, stranger: &Client) -> String {
    step("form");
    owner.publish(include_str!("workflows/form.json")).await;
    until_published(stranger, "GET", FORM).await;
    let page = stranger.send(Request::get(FORM), "").await.is(200).text();
    assert!(page.contains("field-0") && page.contains("field-1"), "{page}");

    let file = vec![b'y'; 1 << 20];
    let filled = [("field-0", None, b"Ann".as_slice()), ("field-1", Some("f.bin"), &file)];
    let answer = fill(stranger, FORM, &filled).await;
    assert_eq!(answer.header("access-control-allow-origin"), "null", "{answer:?}");
    let (path, query) = path_and_query(&answer.json()["formWaitingUrl"], stranger);

    until_waiting_page(stranger, &path, &query, "Second page").await;
    fill(stranger, &format!("{path}?{query}"), &[("field-0", None, b"more")]).await;
    let page = until_waiting_page(stranger, &path, &query, "<h1>All done</h1>").await;
    assert!(page.contains("thanks Ann"), "{page}");
    let page = stranger.send(Request::get(&path), "").await.is(401).text();
    assert!(page.contains("Invalid Form Link"), "{page}");
    signature(&query)
}

async fn fill(client: &Client, path: &str, fields: &[(&str, Option<&str>, &[u8])]) -> Answer {
    let (kind, body) = multipart(fields);
    let request = Request::post(path).header("content-type", kind);
    let request = request.header("origin", "null").header("sec-fetch-site", "cross-site");
    client.send(request, body).await.is(200)
}

/// Waits for the page that shows `title`. n8n never answers for a page while the execution runs:
/// its own script asks for the status first, too.
async fn until_waiting_page(client: &Client, path: &str, query: &str, title: &str) -> String {
    eventually(title, async || {
        let status = format!("{path}/n8n-execution-status?{query}");
        let status = client.send(Request::get(status), "").await.is(200).text();
        if status != "form-waiting" {
            return None;
        }
        let page = Request::get(format!("{path}?{query}"));
        let page = client.send(page, "").await.is(200).text();
        page.contains(title).then_some(page)
    })
    .await
}

/// An execution that waits is resumed by whoever has its address.
async fn resume(owner: &Owner, stranger: &Client) -> String {
    step("waiting webhook");
    owner.publish(include_str!("workflows/wait.json")).await;
    let started = eventually("the workflow starts", async || {
        let answer = stranger.send_json(Request::post(START_WAIT), &json!({})).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    let (path, query) = path_and_query(&started["resumeUrl"], stranger);
    // Without its token it looks as if there were none: n8n's own 401 would tell that there is one.
    let none = stranger.send(Request::get(&path), "").await.is(404).text();
    let other = stranger.send(Request::get("/webhook-waiting/999999"), "").await.is(404).text();
    assert_eq!(none, other);
    // It answers that nothing waits until the execution has been put aside.
    let finished = eventually("the execution waits", async || {
        let answer = stranger.send(Request::get(format!("{path}?{query}&a=b")), "").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(finished["finished"], true, "{finished}");
    assert_eq!(finished["query"]["a"], "b", "{finished}");
    assert_eq!(finished["headers"]["x-forwarded-for"], "127.0.0.2", "{finished}");
    stranger.send(Request::get(format!("{path}?{query}")), "").await.is(409);
    signature(&query)
}

/// A chat's answer comes as it is made. The workflow asks a gate before each further piece, and
/// the gate opens only when the piece before has arrived: if anybody kept pieces back, the whole
/// would stand still.
async fn chat(owner: &Owner, stranger: &Client) {
    step("streamed chat");
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gate.local_addr().unwrap());
    owner.publish(&include_str!("workflows/chat.json").replace("GATE", &url)).await;
    let message = json!({"action": "sendMessage", "sessionId": "s1", "chatInput": "hello"});
    let answer = eventually("the chat answers", async || {
        let request = Request::post(CHAT).header("content-type", "application/json");
        let answer = stranger.begin(request, message.to_string()).await;
        (answer.status() == 200).then_some(answer)
    })
    .await;
    let mut body = answer.into_body();
    let mut heard = String::new();
    for piece in ["chunk-1", "chunk-2", "chunk-3"] {
        assert!(!heard.contains(piece), "{piece} came too early: {heard}");
        let arrives = timeout(PATIENCE, async {
            while !heard.contains(piece) {
                let frame = body.frame().await.expect("no end yet").unwrap();
                heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        });
        arrives.await.unwrap_or_else(|_| panic!("{piece} is kept back: {heard}"));
        if piece != "chunk-3" {
            open(&gate).await;
        }
    }
    let end =
        timeout(PATIENCE, async { while body.frame().await.transpose().unwrap().is_some() {} });
    end.await.expect("an end of the answer");
}

/// Lets one request through.
async fn open(gate: &TcpListener) {
    let (mut waiting, _) = timeout(PATIENCE, gate.accept()).await.expect("a request").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(waiting.read_buf(&mut head).await.unwrap(), 0);
    }
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                  Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    waiting.write_all(answer.as_bytes()).await.unwrap();
}

/// A session with an MCP server, from its beginning to its end.
async fn mcp(owner: &Owner, stranger: &Client) -> String {
    step("MCP session");
    owner.publish(include_str!("workflows/mcp.json")).await;
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    let begun = eventually("the MCP server answers", async || {
        let answer = call(stranger, None, Some(1), "initialize", &hello).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(begun.header("content-type"), "text/event-stream", "{begun:?}");
    let session = begun.header("mcp-session-id").to_owned();
    assert_eq!(event(&begun)["result"]["protocolVersion"], "2025-06-18", "{begun:?}");

    let none = json!({});
    call(stranger, Some(&session), None, "notifications/initialized", &none).await.is(202);
    let tools = call(stranger, Some(&session), Some(2), "tools/list", &none).await.is(200);
    assert_eq!(event(&tools)["result"]["tools"][0]["name"], "Calculator", "{tools:?}");
    let sum = json!({"name": "Calculator", "arguments": {"input": "6*7"}});
    let answer = call(stranger, Some(&session), Some(3), "tools/call", &sum).await.is(200);
    assert_eq!(event(&answer)["result"]["content"][0]["text"], "42", "{answer:?}");

    let end = Request::delete(MCP).header("mcp-session-id", &session);
    stranger.send(end, "").await.is(200);
    call(stranger, Some(&session), Some(4), "tools/list", &none).await.is(404);
    session
}

async fn call(
    client: &Client,
    session: Option<&str>,
    id: Option<u64>,
    method: &str,
    params: &Value,
) -> Answer {
    let mut request = Request::post(MCP).header("accept", "application/json, text/event-stream");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    client.send_json(request, &message).await
}

/// The one message of an event stream.
fn event(answer: &Answer) -> Value {
    let text = answer.text();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or_else(|| panic!("{text}"))).unwrap()
}

/// An address that n8n made has to be the world's.
fn path_and_query(url: &Value, client: &Client) -> (String, String) {
    let url = url.as_str().unwrap();
    let path = url.strip_prefix(&client.origin()).unwrap_or_else(|| panic!("{url}"));
    let (path, query) = path.split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

fn signature(query: &str) -> String {
    let signature = query.split('&').find_map(|pair| pair.strip_prefix("signature="));
    signature.unwrap_or_else(|| panic!("{query}")).to_owned()
}

/// Fields and files as a form's page sends them, with their content type.
fn multipart(fields: &[(&str, Option<&str>, &[u8])]) -> (String, Bytes) {
    let boundary = "----boundary";
    let mut body = Vec::new();
    for (name, file, value) in fields {
        let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        let kind = file.map_or_else(String::new, |file| {
            format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream")
        });
        body.extend_from_slice(format!("{part}{kind}\r\n\r\n").as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}
