//! Who is gone, silent, or up to no good. The gateway has to get rid of them all.

use std::{net::Ipv4Addr, rc::Rc, sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use rustls::ClientConnection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use super::{honest::channel, stage, world::World};
use crate::client::{Client, Question, Version};

const SECOND: Duration = Duration::from_secs(1);

/// What nobody has asked n8n for.
const PROBES: [&str; 4] = ["/wp-login.php", "/.git/HEAD", "/.env", "/phpmyadmin/index.php"];

/// Requests that mean nothing, or more than one thing.
const BAD: [&str; 4] = [
    "GET / HTTP/1.1\r\nhost: gateway.test\r\nx: \x01\r\n\r\n",
    "GET /a/../b HTTP/1.1\r\nhost: gateway.test\r\n\r\n",
    "POST /rest/login HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "GET HTTP/1.1\r\n\r\n",
];

/// How soon a ban has to come, in requests, and how soon it has to end.
const BANNED_WITHIN: usize = 60;
const FREE_WITHIN: Duration = Duration::from_secs(90);

/// An address of those who are gone in the middle of something.
fn gone(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 2, 0, n)
}

/// Sets everybody to work.
pub(super) fn begin(world: &Rc<World>) {
    world.every("gone in mid-upload", SECOND, async |world| upload(world, false).await);
    world.every("reset in mid-upload", SECOND, async |world| upload(world, true).await);
    world.every("reset in mid-answer", SECOND, reset_answer);
    world.every("gone before the answer", SECOND / 2, hang_up);
    world.every("cancelled stream", SECOND, cancel);
    world.every("push channel cut off", 2 * SECOND, cut_channel);
    for _ in 0..4 {
        world.always("connected and silent", SECOND / 2, async |world| silent(world, 0).await);
        world.always("half a handshake", SECOND / 2, async |world| silent(world, 100).await);
        world.always("half a head", SECOND / 2, half_head);
        world.always("handshake and silent", SECOND / 2, idle);
    }
    for _ in 0..3 {
        world.always("scanner, banned and free again", SECOND, async |world| {
            banned(world, async |from| probe(world, from).await).await
        });
        world.always("bad requests, banned and free again", SECOND, async |world| {
            banned(world, async |from| bad(world, from).await).await
        });
    }
}

async fn upload(world: &World, reset: bool) -> anyhow::Result<()> {
    let mut wire = world.network.secure(gone(1), Version::One).await?;
    let host = world.network.authority();
    let (path, size) = (stage::WEBHOOK, 4 << 20);
    let head = format!(
        "POST {path}?mark=v HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/octet-stream\r\n\
         content-length: {size}\r\n\r\n"
    );
    wire.write_all(head.as_bytes()).await?;
    // While n8n is down the gateway has answered, and reads no further.
    let body = vec![b'v'; 1 + world.number(2 << 20)];
    if tokio::time::timeout(5 * SECOND, wire.write_all(&body)).await.is_ok() {
        wire.flush().await.or_else(gone_is_fine)?;
    }
    if reset {
        wire.get_ref().0.set_zero_linger()?;
    }
    Ok(())
}

/// The gateway may have been first.
fn gone_is_fine(_: std::io::Error) -> std::io::Result<()> {
    Ok(())
}

async fn ask_large(world: &World) -> anyhow::Result<crate::client::Wire> {
    let from = Ipv4Addr::new(127, 0, 0, 30);
    let mut wire = world.network.secure(from, Version::One).await?;
    let (path, host, cookie) = (stage::LARGE, world.network.authority(), &world.cookie);
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n");
    wire.write_all(head.as_bytes()).await?;
    Ok(wire)
}

async fn reset_answer(world: &World) -> anyhow::Result<()> {
    let mut wire = ask_large(world).await?;
    let mut some = vec![0; 1 + world.number(100_000)];
    let read = wire.read(&mut some).await?;
    ensure!(read > 0, "no answer");
    wire.get_ref().0.set_zero_linger()?;
    Ok(())
}

async fn hang_up(world: &World) -> anyhow::Result<()> {
    let wire = ask_large(world).await?;
    sleep(Duration::from_millis(world.number(20).try_into()?)).await;
    drop(wire);
    Ok(())
}

/// Asks over HTTP/2 and loses interest as soon as the answer begins.
async fn cancel(world: &World) -> anyhow::Result<()> {
    let from = Ipv4Addr::new(127, 0, 0, 29);
    let client = Client::new(&world.network, from, Version::Two).signed_in(&world.cookie);
    let answer = client.begin(&Question::get(stage::LARGE)).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    Ok(())
}

async fn cut_channel(world: &World) -> anyhow::Result<()> {
    let from = Ipv4Addr::new(127, 0, 0, 28);
    let client = Client::new(&world.network, from, Version::One).signed_in(&world.cookie);
    let socket = channel(&client).await?;
    if world.number(2) == 0 {
        socket.get_ref().get_ref().0.set_zero_linger()?;
    }
    Ok(())
}

/// Waits for the gateway to hang up.
async fn until_cut(mut io: impl AsyncReadExt + Unpin) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    // Reset or closed, with a word or without: it is over.
    drop(io.read_to_end(&mut rest).await);
    Ok(())
}

/// Sends a part of a first flight of TLS, and no more.
async fn silent(world: &World, bytes: usize) -> anyhow::Result<()> {
    let (tls, name) = world.network.tls(Version::One)?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(tls), name)?.write_tls(&mut hello)?;
    let mut io = world.network.dial(world.stranger(), world.network.port).await?;
    io.write_all(hello.get(..bytes).unwrap_or_default()).await?;
    until_cut(io).await
}

async fn half_head(world: &World) -> anyhow::Result<()> {
    let mut wire = world.network.secure(gone(world.number(200).try_into()?), Version::One).await?;
    wire.write_all(b"GET /webhook/soak HTTP/1.1\r\nhost: so").await?;
    until_cut(wire).await
}

async fn idle(world: &World) -> anyhow::Result<()> {
    let version = if world.number(2) == 0 { Version::One } else { Version::Two };
    let wire = world.network.secure(gone(world.number(200).try_into()?), version).await?;
    until_cut(wire).await
}

/// Does what is held against it until it is banned, and waits until it is let in again.
async fn banned(
    world: &World,
    mut slip: impl AsyncFnMut(Ipv4Addr) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let from = world.stranger();
    let mut slips = 0;
    while world.network.secure(from, Version::One).await.is_ok() {
        ensure!(slips < BANNED_WITHIN, "{from} is never banned");
        slips += 1;
        slip(from).await?;
        sleep(SECOND / 10).await;
    }
    let began = Instant::now();
    while world.network.secure(from, Version::One).await.is_err() {
        if began.elapsed() > FREE_WITHIN {
            bail!("{from}: the ban does not end");
        }
        sleep(2 * SECOND).await;
    }
    Ok(())
}

async fn probe(world: &World, from: Ipv4Addr) -> anyhow::Result<()> {
    let path = PROBES.get(world.number(PROBES.len())).copied().unwrap_or_default();
    let client = Client::new(&world.network, from, Version::One);
    // Whoever is banned in between hears nothing.
    match client.ask(&Question::get(path)).await {
        Ok(answer) => answer.is(404).map(drop),
        Err(_) => Ok(()),
    }
}

async fn bad(world: &World, from: Ipv4Addr) -> anyhow::Result<()> {
    let Ok(mut wire) = world.network.secure(from, Version::One).await else { return Ok(()) };
    let request = BAD.get(world.number(BAD.len())).copied().unwrap_or_default();
    wire.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    drop(wire.read_to_string(&mut answer).await);
    ensure!(answer.starts_with("HTTP/1.1 400 "), "{request:?} is answered with {answer}");
    Ok(())
}
