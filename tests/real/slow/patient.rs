//! Who is quiet for longer than any bound, and has every right to be: a chat whose workflow thinks,
//! and an editor in which nobody does anything.

use std::{pin::pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    client::Client,
    owner::Owner,
    processes::{PATIENCE, eventually, step},
    push,
    triggers::CHAT,
};

/// Longer than a connection may idle, and than a body or a reader may stall; the chat has two of
/// them.
const PAUSE: Duration = Duration::from_secs(65);

/// Publishes the chat, before n8n has other things to do; gives what its pauses wait for.
pub(super) async fn publish(owner: &Owner) -> TcpListener {
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gate.local_addr().unwrap());
    owner.publish(&include_str!("../workflows/chat.json").replace("GATE", &url)).await;
    gate
}

/// Both, for more than two minutes.
pub(super) async fn chat_and_push(gate: &TcpListener, owner: &Owner, stranger: &Client) {
    let mut channel = push::open(&owner.client, &owner.client.origin()).await.unwrap();
    let mut chat = pin!(chat(gate, stranger));
    loop {
        tokio::select! {
            () = &mut chat => break,
            // n8n asks now and then whether somebody is there; reading is what answers it.
            message = channel.next() => {
                let message = message.expect("an open channel").unwrap();
                assert!(!matches!(message, Message::Close(_)), "{message:?}");
            }
        }
    }
    step("a push channel after two idle minutes");
    channel.send(Message::text(r#"{"type":"heartbeat"}"#)).await.unwrap();
    channel.close(None).await.unwrap();
}

async fn chat(gate: &TcpListener, stranger: &Client) {
    step("a chat with pauses");
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
        let arrives = timeout(PATIENCE, async {
            while !heard.contains(piece) {
                let frame = body.frame().await.expect("no end yet").expect("a whole stream");
                heard.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
        });
        arrives.await.unwrap_or_else(|_| panic!("no {piece}: {heard}"));
        if piece != "chunk-3" {
            let_through_late(gate).await;
        }
    }
    step("a chat that has paused for two minutes");
}

/// Answers the workflow's question whether it may go on, after a long pause.
async fn let_through_late(gate: &TcpListener) {
    let (mut waiting, _) = timeout(PATIENCE, gate.accept()).await.expect("a question").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(waiting.read_buf(&mut head).await.unwrap(), 0);
    }
    sleep(PAUSE).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                  Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    waiting.write_all(answer.as_bytes()).await.unwrap();
}
