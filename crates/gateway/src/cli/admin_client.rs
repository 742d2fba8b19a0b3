//! Asking a running gateway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use gateway_config::{Answers, OPERATORS_SOCKET, Secret, System, load};
use gateway_proxy::exchange;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::sleep,
};
use zeroize::Zeroizing;

use super::{Running, complain};
use crate::audit::Operator;

/// No answer of the admin listener is longer.
const LONGEST: usize = 1 << 30;

/// How often, and after how long, a gateway is asked again that is handing over to another process.
const AGAIN: usize = 5;
const MOMENT: Duration = Duration::from_secs(1);

fn operator(gateway: &Running) -> anyhow::Result<Operator> {
    let Some(admin) = &gateway.admin else {
        return match load(&gateway.config, &System, &Answers::new()) {
            Ok(config) => Ok(Operator::of(&config.settings.listen.admin)),
            // A policy with a mistake changes nothing of the gateway that runs: it can be asked.
            Err(why) if Path::new(OPERATORS_SOCKET).exists() => {
                complain(&format!("{why}\nthe gateway that runs is asked all the same"));
                Ok(Operator::Unix(OPERATORS_SOCKET.into()))
            }
            Err(why) => Err(why.into()),
        };
    };
    if let Some(path) = admin.strip_prefix("unix:") {
        return Ok(Operator::Unix(path.into()));
    }
    let address = admin.parse().context("neither `unix:/path` nor an address and a port")?;
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        anyhow::Ok(Secret::new(Zeroizing::new(text).trim()))
    };
    Ok(Operator::Tcp(address, gateway.token_file.as_ref().map(read).transpose()?))
}

/// Asks `path`, and gives the answer's status and body. A process that hands over to another one is
/// asked again: then the other one answers.
pub(super) async fn ask(
    gateway: &Running,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask_operator(&operator(gateway)?, method, path, body).await
}

/// The same of the gateway that listens for its operator there.
pub(crate) async fn ask_operator(
    operator: &Operator,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let mut again = AGAIN;
    loop {
        let what = (method.clone(), path, body.clone());
        let answer = ask_once(operator, what).await?;
        let (status, headers) = (answer.status(), answer.headers());
        let later =
            status == StatusCode::SERVICE_UNAVAILABLE && headers.contains_key(header::RETRY_AFTER);
        if !later || again == 0 {
            return Ok((status, answer.into_body()));
        }
        again -= 1;
        sleep(MOMENT).await;
    }
}

async fn ask_once(
    operator: &Operator,
    what: (Method, &str, Bytes),
) -> anyhow::Result<Response<Bytes>> {
    match operator {
        Operator::Unix(socket) => {
            let io = UnixStream::connect(socket).await;
            let io =
                io.with_context(|| format!("no gateway answers at unix:{}", socket.display()))?;
            over(io, what, None).await
        }
        Operator::Tcp(address, token) => {
            let io = TcpStream::connect(address).await;
            let io = io.with_context(|| format!("no gateway answers at {address}"))?;
            over(io, what, token.as_ref()).await
        }
    }
}

async fn over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (method, path, body): (Method, &str, Bytes),
    token: Option<&Secret>,
) -> anyhow::Result<Response<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let request = request.body(Full::new(body))?;
    let answer = exchange(io, request, LONGEST).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        bail!("the admin listener wants a token: name the policy with --config, or --token-file");
    }
    Ok(answer)
}
