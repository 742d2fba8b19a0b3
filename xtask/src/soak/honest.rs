//! Who only wants to work: senders of webhooks, people in the editor, chats. None of them may ever
//! fail while n8n is up.

use std::{net::Ipv4Addr, rc::Rc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{certificates::Shown, stage, world::World};
use crate::client::{Client, Question, Version, Wire};

/// A piece of an upload.
const MEBIBYTE: usize = 1 << 20;

/// How long handshakes may show what was there before a certificate was replaced.
const SWAP: Duration = Duration::from_secs(5);

const SECOND: Duration = Duration::from_secs(1);

/// An address of the editor's network.
fn team(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 16 + n)
}

/// A sender of webhooks.
fn sender(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 64 + n)
}

/// Sets everybody to work.
pub(super) fn begin(world: &Rc<World>, shown: &Rc<Shown>) {
    webhooks(world);
    people(world);
    push(world);
    world.always("redirect", 2 * SECOND, redirect);
    let shown = Rc::clone(shown);
    world
        .every("certificate in force", SECOND, async move |world| certificate(world, &shown).await);
}

fn webhooks(world: &Rc<World>) {
    let network = &world.network;
    let senders = [
        ("webhook, HTTP/1, kept", Version::One, true),
        ("webhook, HTTP/1, new", Version::One, false),
        ("webhook, HTTP/2, kept", Version::Two, true),
        ("webhook, HTTP/2, new", Version::Two, false),
    ];
    for (at, (kind, version, keeps)) in (0..).zip(senders.repeat(2)) {
        let client = Client::new(network, sender(at), version);
        let client = if keeps { client.keeping() } else { client };
        let pause = SECOND / if keeps { 5 } else { 2 };
        world.every(kind, pause, async move |world| webhook(world, &client).await);
    }
    for (at, version) in [(10, Version::One), (11, Version::Two)] {
        let client = Client::new(network, sender(at), version);
        world.every("upload of some MiB", 4 * SECOND, async move |world| {
            upload(world, &client).await
        });
    }
    for at in 20..23 {
        let client = Client::new(network, sender(at), Version::One);
        world.every("streamed chat", SECOND, async move |_| chat(&client).await);
    }
}

fn people(world: &Rc<World>) {
    let member = |n, version| {
        Client::new(&world.network, team(n), version).keeping().signed_in(&world.cookie)
    };
    let (browser, program) = (member(0, Version::Two), member(1, Version::One));
    world.every("page and its files", 2 * SECOND, async move |_| page(&browser).await);
    let mut turn = ["/rest/login", "/rest/settings", "/rest/workflows"].into_iter().cycle();
    world.every("REST with a session", SECOND / 3, async move |_| {
        let path = turn.next().unwrap_or("/rest/login");
        let answer = program.ask(&Question::get(path)).await?.is(200)?;
        ensure!(answer.json()?.get("data").is_some(), "{path} answers something else");
        Ok(())
    });
    for (at, version) in [(2, Version::One), (3, Version::Two)] {
        let (client, mut size) = (member(at, version), None);
        world.every("download of some MiB", 4 * SECOND, async move |_| {
            let answer = client.ask(&Question::get(stage::LARGE)).await?.is(200)?;
            let expected = *size.get_or_insert(answer.body.len());
            ensure!(answer.body.len() == expected, "{} of {expected}", answer.body.len());
            Ok(())
        });
    }
    let somebody = Client::new(&world.network, team(4), Version::Two);
    world.every("sign-in", 60 * SECOND, async move |_| stage::sign_in(&somebody).await.map(drop));
}

/// An answer has to be the one to this request, and to no other.
async fn webhook(world: &World, client: &Client) -> anyhow::Result<()> {
    let mark = world.number(1_000_000);
    let path = format!("{}?mark={mark}", stage::WEBHOOK);
    let question = if mark.is_multiple_of(2) {
        Question::get(path)
    } else {
        Question::json(path, &json!({"order": mark, "text": "x".repeat(mark % 2000)}))
    };
    let answer = client.ask(&question).await?.is(200)?.json()?;
    ensure!(answer["mark"].as_str() == Some(&mark.to_string()), "{mark} is answered with {answer}");
    Ok(())
}

async fn upload(world: &World, client: &Client) -> anyhow::Result<()> {
    let size = MEBIBYTE + world.number(3 * MEBIBYTE);
    let path = format!("{}?mark=u", stage::WEBHOOK);
    let question = Question::post(path, "application/octet-stream", vec![b'u'; size]);
    let answer = client.ask(&question).await?.is(200)?.json()?;
    ensure!(answer["bytes"] == size, "{answer} of {size} bytes");
    Ok(())
}

/// A page, as a browser loads it.
async fn page(client: &Client) -> anyhow::Result<()> {
    let page = client.ask(&Question::get("/")).await?.is(200)?;
    let text = String::from_utf8_lossy(&page.body);
    ensure!(text.contains("<div id=\"app\">"), "another page");
    let files = text.split('"').filter(|it| it.starts_with("/assets/") && !it.contains('{'));
    for file in files.take(3) {
        client.ask(&Question::get(file)).await?.is(200).with_context(|| file.to_owned())?;
    }
    Ok(())
}

/// A stream with pauses: n8n asks before each piece whether it may go on.
async fn chat(client: &Client) -> anyhow::Result<()> {
    let message = json!({"action": "sendMessage", "sessionId": "s", "chatInput": "hello"});
    let answer = client.begin(&Question::json(stage::CHAT, &message)).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let (mut body, mut heard) = (answer.into_body(), String::new());
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.context("a broken stream")?.data_ref() {
            heard.push_str(&String::from_utf8_lossy(data));
        }
    }
    ensure!(heard.contains("chunk-3"), "an end too early: {heard}");
    Ok(())
}

async fn redirect(world: &World) -> anyhow::Result<()> {
    let mut io = world.network.dial(sender(30), world.network.clear).await?;
    let host = crate::client::HOST;
    let request = format!("GET /x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    Ok(())
}

/// What handshakes show is what was put there last.
async fn certificate(world: &World, shown: &Shown) -> anyhow::Result<()> {
    let expected = shown.now()?;
    let wire = world.network.secure(sender(31), Version::One).await?;
    let chain = wire.get_ref().1.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let ours = chain.context("no certificate")?;
    let settled = Instant::now().duration_since(shown.since()) > SWAP;
    ensure!(!settled || *ours == expected, "a certificate that was replaced");
    Ok(())
}

/// Editors that stay open. Whatever is reloaded, only n8n's end is the end of their channel.
fn push(world: &Rc<World>) {
    for at in 5..9 {
        let client = Client::new(&world.network, team(at), Version::One).signed_in(&world.cookie);
        let here = Rc::clone(world);
        world.spawn(async move {
            loop {
                let life = here.life();
                let ended = match channel(&client).await {
                    Ok(socket) => stay(&here, socket).await,
                    Err(why) => Err(why),
                };
                here.note("push channel", life, ended);
                sleep(SECOND).await;
            }
        });
    }
}

/// Opens the editor's push channel.
pub(super) async fn channel(client: &Client) -> anyhow::Result<WebSocketStream<Wire>> {
    let network = &client.network;
    let reference = client.from.to_bits();
    let url = format!("wss://{}/rest/push?pushRef=soak{reference}", network.authority());
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("origin", network.origin().parse()?);
    if let Some(cookie) = client.cookie() {
        request.headers_mut().insert("cookie", cookie.parse()?);
    }
    let wire = network.secure(client.from, Version::One).await?;
    Ok(client_async(request, wire).await.context("no channel")?.0)
}

async fn stay(world: &World, mut socket: WebSocketStream<Wire>) -> anyhow::Result<()> {
    while let Some(message) = socket.next().await {
        match message.context("a broken channel")? {
            Message::Close(why) => bail!("closed: {why:?}"),
            // n8n asks each minute whether somebody is there.
            Message::Ping(_) => world.note("ping of a push channel", None, Ok(())),
            _ => {}
        }
    }
    bail!("an end without a word")
}
