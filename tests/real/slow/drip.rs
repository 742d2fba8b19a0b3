//! One byte a second, wherever there is something to send or to read. Each client has an address of
//! its own, so that none is banned for what another did.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::Client,
    installation::Gateway,
    processes::{PATIENCE, step},
    triggers::ECHO,
};

const SECOND: Duration = Duration::from_secs(1);

/// More than what the kernels of both sides hold back of an answer.
const LARGE: usize = 12 << 20;

/// All of them at once.
pub(super) async fn all(gateway: &Gateway) {
    step("one byte a second");
    let client = |n| gateway.client(Ipv4Addr::new(127, 0, 0, n).into());
    let host = client(40).authority();
    let head = format!("POST {ECHO} HTTP/1.1\r\nhost: {host}\r\nx: {}", "x".repeat(200));
    let body = format!("POST {ECHO} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 400\r\n\r\n");
    let chunked =
        format!("POST {ECHO} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n");
    let late = Some("HTTP/1.1 408 ");
    let hello = "\x16\x03\x01\x02\x00\x01".repeat(40);
    let (data, chunks) = ("b".repeat(400), "1\r\nc\r\n".repeat(60));
    tokio::join!(
        sends("a head in clear", clear(gateway, client(40)), "", &head, late),
        sends("a handshake", tcp(client(41)), "", &hello, None),
        sends("a head", tls(client(42)), "", &head, late),
        sends("a body", tls(client(43)), &body, &data, late),
        sends("chunks", tls(client(44)), &chunked, &chunks, late),
        a_record(client(45)),
        reads(client(46)),
    );
}

async fn tcp(client: Client) -> TcpStream {
    let socket = client.socket().unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, client.port()).into()).await.unwrap()
}

async fn clear(gateway: &Gateway, client: Client) -> TcpStream {
    let socket = client.socket().unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, gateway.clear()).into()).await.unwrap()
}

async fn tls(client: Client) -> impl AsyncRead + AsyncWrite {
    client.dial(b"http/1.1").await
}

/// Sends `first` at once and `rest` by the second until the gateway ends it, with an answer that
/// begins as told.
async fn sends(
    what: &str,
    io: impl Future<Output = impl AsyncRead + AsyncWrite>,
    first: &str,
    rest: &str,
    answer: Option<&str>,
) {
    let (mut from, mut to) = tokio::io::split(io.await);
    to.write_all(first.as_bytes()).await.unwrap();
    let send = async {
        for byte in rest.as_bytes() {
            // What is closed can be written to for a moment.
            if to.write_all(&[*byte]).await.is_err() || to.flush().await.is_err() {
                break;
            }
            sleep(SECOND).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        ended = timeout(PATIENCE, from.read_to_end(&mut said)) => {
            assert!(ended.is_ok(), "{what} is not cut");
        }
        () = send => {}
    }
    let said = String::from_utf8_lossy(&said);
    match answer {
        Some(answer) => assert!(said.starts_with(answer), "{what}: {said}"),
        // What TLS says of its end is no answer.
        None => assert!(!said.contains("HTTP"), "{what}: {said}"),
    }
    step(&format!("{what} is cut"));
}

/// After the handshake, the bytes of a single record that is never whole: no TLS looks into it.
async fn a_record(client: Client) {
    let wire = async {
        let (tcp, _) = client.dial(b"http/1.1").await.into_inner();
        tcp
    };
    // Application data of TLS 1.2's version, as TLS 1.3 has it, 16 KiB long.
    let record = format!("\x17\x03\x03\x40\x00{}", "r".repeat(200));
    sends("a record", wire, "", &record, None).await;
}

/// Reads an answer of many MiB by the byte. It can see no end while there is something left to
/// read, so the gateway has to reset the connection: closing it would leave all that waits in the
/// kernel's memory for as long as the client likes.
async fn reads(client: Client) {
    let socket = client.socket().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect((Ipv4Addr::LOCALHOST, client.port()).into()).await.unwrap();
    let mut tls = client.secure(tcp, b"http/1.1").await.unwrap();
    let text = serde_json::json!({ "text": "r".repeat(LARGE) }).to_string();
    let head = format!(
        "POST {ECHO} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        client.authority(),
        text.len()
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    tls.write_all(text.as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    let (mut tcp, _) = tls.into_inner();
    let mut byte = [0];
    let mut read = 0;
    let until = timeout(PATIENCE, async {
        while tcp.take_error().unwrap().is_none() {
            match tcp.read(&mut byte).await {
                Ok(0) => panic!("an end in order after {read} bytes"),
                Ok(_) => read += 1,
                Err(_) => break,
            }
            sleep(SECOND).await;
        }
    });
    assert!(until.await.is_ok(), "a reader is not cut after {read} bytes");
    step(&format!("a reader is cut after {read} bytes"));
}
