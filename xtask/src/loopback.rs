//! Ports of this machine: which are free, and what they answer in clear.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Ports that are free now.
pub(crate) async fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // Each is held until all are found, so that no two are the same.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// What `path` of a port of this machine answers, head and all.
pub(crate) async fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let ask = async {
        let mut io = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
        io.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        io.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(Duration::from_secs(20), ask).await.context("no answer")??;
    ensure!(!answer.is_empty(), "an end without an answer");
    Ok(answer)
}
