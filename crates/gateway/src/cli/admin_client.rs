//! Asking a running gateway.

use std::{net::SocketAddr, path::PathBuf, pin::pin};

use anyhow::{Context, bail};
use bytes::Bytes;
use gateway_config::{Admin, Answers, System, load};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use zeroize::Zeroizing;

use super::Running;

/// No answer of the admin listener is longer.
const LONGEST: usize = 1 << 30;

/// Where it is and what it wants to be shown.
struct Door {
    address: Address,
    token: Option<Zeroizing<String>>,
}

enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

fn door(gateway: &Running) -> anyhow::Result<Door> {
    let Some(admin) = &gateway.admin else {
        let config = load(&gateway.config, &System, &Answers::new())?;
        return Ok(match config.settings.listen.admin {
            Admin::Unix(path) => Door { address: Address::Unix(path), token: None },
            Admin::Tcp(address, token) => {
                let token = token.map(|token| Zeroizing::new(token.expose().to_owned()));
                Door { address: Address::Tcp(address), token }
            }
        });
    };
    let address = match admin.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => {
            Address::Tcp(admin.parse().context("neither `unix:/path` nor an address and a port")?)
        }
    };
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let text = Zeroizing::new(text);
        anyhow::Ok(Zeroizing::new(text.trim().to_owned()))
    };
    Ok(Door { address, token: gateway.token_file.as_ref().map(read).transpose()? })
}

/// Asks `path`, and gives the answer's status and body.
pub(super) async fn ask(
    gateway: &Running,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let Door { address, token } = door(gateway)?;
    match address {
        Address::Unix(socket) => {
            let io = UnixStream::connect(&socket).await;
            let io =
                io.with_context(|| format!("no gateway answers at unix:{}", socket.display()))?;
            over(io, (method, path, body), token).await
        }
        Address::Tcp(address) => {
            let io = TcpStream::connect(address).await;
            let io = io.with_context(|| format!("no gateway answers at {address}"))?;
            over(io, (method, path, body), token).await
        }
    }
}

async fn over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (method, path, body): (Method, &str, Bytes),
    token: Option<Zeroizing<String>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", *token));
    }
    let request = request.body(Full::new(body))?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LONGEST);
        #[expect(clippy::disallowed_methods, reason = "limited in the line above")]
        let body = body.collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        anyhow::Ok((head.status, body))
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let (status, body) = tokio::select! {
        answer = answer.as_mut() => answer?,
        _ = connection.as_mut() => answer.await?,
    };
    if status == StatusCode::UNAUTHORIZED {
        bail!("the admin listener wants a token: name the policy with --config, or --token-file");
    }
    Ok((status, body))
}
