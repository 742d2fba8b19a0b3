//! A client on one connection.

use std::{error::Error, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use crate::Gateway;

type AnyBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// A connection that requests are sent on.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    H1(http1::SendRequest<AnyBody>),
    H2(http2::SendRequest<AnyBody>),
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body as text.
    pub body: String,
}

impl Response {
    /// A field's value; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    /// One that speaks HTTP/1.1 on `io`.
    pub async fn h1(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tasks: &TaskTracker,
    ) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.expect("a connection");
        tasks.spawn(async move { drop(connection.with_upgrades().await) });
        Self { sender: Sender::H1(sender) }
    }

    /// One that speaks HTTP/2 on `io`.
    pub async fn h2(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        tasks: &TaskTracker,
    ) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (sender, connection) = handshake.await.expect("a connection");
        tasks.spawn(async move { drop(connection.await) });
        Self { sender: Sender::H2(sender) }
    }

    /// Sends a request; its answer's body is still to be read.
    ///
    /// # Errors
    ///
    /// A connection that ended.
    pub async fn send<B>(&mut self, request: Request<B>) -> hyper::Result<http::Response<Incoming>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let sent: Pin<Box<dyn Future<Output = _> + Send>> = match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                Box::pin(sender.send_request(request))
            }
            Sender::H2(sender) => {
                sender.ready().await?;
                Box::pin(sender.send_request(request))
            }
        };
        sent.await
    }

    /// Sends a request in the form of [`Gateway::ask`] and reads its answer.
    pub async fn ask(&mut self, lines: &str) -> Response {
        self.ask_with(lines, Bytes::new()).await
    }

    /// The same, with a body.
    pub async fn ask_with(&mut self, lines: &str, body: impl Into<Bytes>) -> Response {
        let mut request: Request<Full<Bytes>> = Gateway::request(lines, body);
        if matches!(self.sender, Sender::H2(_)) {
            let host = request.headers_mut().remove("host").expect("a host");
            let target = request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned();
            let whole = format!("https://{}{target}", host.to_str().expect("a host"));
            *request.uri_mut() = whole.parse().expect("a URI");
        }
        let response = self.send(request).await.expect("an answer");
        let (head, mut body) = response.into_parts();
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("a whole answer");
            text.extend_from_slice(frame.data_ref().expect("data"));
        }
        let body = String::from_utf8(text).expect("text");
        Response { status: head.status, headers: head.headers, body }
    }
}
