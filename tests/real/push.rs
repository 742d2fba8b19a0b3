//! The editor's push channel: a WebSocket that lives as long as the page.

use futures_util::{SinkExt, StreamExt};
use hyper::Request;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use crate::{
    client::Client,
    owner::Owner,
    processes::{PATIENCE, step},
};

pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

const REFERENCE: &str = "pushref-5e11";

/// Opens, closes and keeps channels; tells what must not be in a log.
pub(crate) async fn channel(owner: &Owner, stranger: &Client) -> Vec<String> {
    nobody_else_gets_one(owner, stranger).await;
    upgrades_elsewhere(owner).await;
    a_long_life(owner).await;
    vec![REFERENCE.to_owned()]
}

/// Opens a channel on a page of `origin`.
pub(crate) async fn open(client: &Client, origin: &str) -> Result<Socket, Error> {
    let url = format!("wss://{}/rest/push?pushRef={REFERENCE}", client.authority());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    if let Some(cookie) = client.cookie() {
        request.headers_mut().insert("cookie", cookie.clone());
    }
    let opening = client_async(request, client.dial(b"http/1.1").await);
    let opened = timeout(PATIENCE, opening).await.expect("an answer to the upgrade");
    opened.map(|(socket, _)| socket)
}

/// The next message; n8n says nothing for up to a minute.
async fn next(socket: &mut Socket) -> Message {
    let next = timeout(PATIENCE, socket.next()).await.expect("a message");
    next.expect("an open channel").unwrap()
}

/// n8n's own checks hold, and the gateway's come before them.
async fn nobody_else_gets_one(owner: &Owner, stranger: &Client) {
    step("push channels for nobody else");
    let origin = owner.client.origin();
    let mut socket = open(&owner.client, "https://evil.example").await.unwrap();
    let reason = loop {
        if let Message::Close(reason) = next(&mut socket).await {
            break reason;
        }
    };
    assert_eq!(reason.unwrap().code, CloseCode::Policy);

    let nobody = stranger.signed_in("n8n-auth=invalid");
    let with_cookie = stranger.signed_in(owner.client.cookie().unwrap().to_str().unwrap());
    for client in [stranger, &nobody, &with_cookie] {
        match open(client, &origin).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 404),
            other => panic!("{other:?}"),
        }
    }
    let mut socket = open(&owner.client.signed_in("other=1"), &origin).await.unwrap();
    assert!(matches!(next(&mut socket).await, Message::Close(None)));
}

/// Where n8n knows no WebSocket it would leave an upgrade without an answer.
async fn upgrades_elsewhere(owner: &Owner) {
    step("an upgrade elsewhere");
    let request = Request::get("/rest/settings")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let settings = owner.client.send(request, "").await.is(200).json();
    assert_eq!(settings["data"]["settingsMode"], "authenticated", "{settings}");
}

/// A channel that outlives n8n's ping is as good as before.
async fn a_long_life(owner: &Owner) {
    step("a push channel");
    let workflow = owner.make(include_str!("workflows/manual.json")).await;
    let mut socket = open(&owner.client, &owner.client.origin()).await.unwrap();
    let heartbeat = Message::text(r#"{"type":"heartbeat"}"#);
    socket.send(heartbeat.clone()).await.unwrap();
    watch_an_execution(owner, &workflow, &mut socket).await;
    while !matches!(next(&mut socket).await, Message::Ping(_)) {}
    step("a push channel after a ping");
    socket.send(heartbeat).await.unwrap();
    watch_an_execution(owner, &workflow, &mut socket).await;
    socket.close(None).await.unwrap();
}

async fn watch_an_execution(owner: &Owner, workflow: &Value, socket: &mut Socket) {
    owner.run(workflow, "Manual", REFERENCE).await;
    let mut seen = Vec::new();
    let last = loop {
        let message = match next(socket).await {
            Message::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
            Message::Binary(bytes) => serde_json::from_slice(&bytes).unwrap(),
            Message::Ping(_) => continue,
            other => panic!("{other:?} after {seen:?}"),
        };
        let kind = message["type"].as_str().unwrap().to_owned();
        let last = kind == "executionFinished";
        seen.push(kind);
        if last {
            break message;
        }
    };
    assert_eq!(last["data"]["status"], "success", "{last}");
    for kind in ["executionStarted", "nodeExecuteBefore", "nodeExecuteAfter"] {
        assert!(seen.iter().any(|it| it == kind), "{kind} in {seen:?}");
    }
}
