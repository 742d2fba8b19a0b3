//! The operator's connections, from the first to the end of the last answer.

use std::{convert::Infallible, io, pin::pin, time::Duration};

use bytes::Bytes;
use gateway_edge::Leave;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use super::Desk;

/// A socket of the operator's.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// How long to wait when the machine has no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Answers the operator until the process takes nothing new. `tasks` has come to its end when the
/// last answer has been written: whoever asked for an upgrade hears how it ended.
pub(crate) async fn serve(socket: Socket, desk: Desk, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            // What waits when another process serves is the other's.
            biased;
            () = desk.leave.retired() => return,
            accepted = accept(&socket) => accepted,
        };
        match accepted {
            Ok((io, who)) => {
                let (desk, leave) = (desk.clone(), desk.leave.clone());
                tasks.spawn(async move {
                    let answer = move |request| {
                        let (desk, who) = (desk.clone(), who.clone());
                        async move { desk.answer(request, &who).await }
                    };
                    if let Err(why) = converse(io, answer, &leave).await {
                        tracing::debug!(error = %why, "admin");
                    }
                });
            }
            Err(why) => {
                tracing::warn!(error = %why, "admin");
                sleep(BREATH).await;
            }
        }
    }
}

/// Answers what one connection asks. At the process's end an answer that is under way is completed;
/// when another process serves already, it is the connection's last.
async fn converse<A>(
    io: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> A,
    leave: &Leave,
) -> hyper::Result<()>
where
    A: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let answering = answer(request);
        async move {
            let mut response = answering.await;
            if leave.is_retired() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    let serving = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(io), service);
    let mut serving = pin!(serving);
    tokio::select! {
        // What has come is read before the end is looked at.
        biased;
        ended = serving.as_mut() => return ended,
        () = leave.end().cancelled() => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}

/// A connection's bytes, of either kind of socket.
trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

/// A connection, and who is at its other end as far as that can be told.
async fn accept(socket: &Socket) -> io::Result<(Box<dyn Bytestream>, String)> {
    match socket {
        Socket::Unix(listener) => {
            let io = listener.accept().await?.0;
            let who =
                io.peer_cred().map_or_else(|_| "unix".to_owned(), |it| format!("uid {}", it.uid()));
            Ok((Box::new(io), who))
        }
        Socket::Tcp(listener) => {
            let (io, peer) = listener.accept().await?;
            Ok((Box::new(io), peer.ip().to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        sync::Notify,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// What is read of `requests` when the first answer is under way as `happens` does.
    async fn read(requests: &str, happens: impl FnOnce(&Leave)) -> String {
        let leave = Leave::new(&CancellationToken::new());
        let (mut client, server) = duplex(4096);
        let (begun, go_on) = (Notify::new(), Notify::new());
        let answer = async |_| {
            begun.notify_one();
            go_on.notified().await;
            go_on.notify_one();
            Response::new(Full::from("done"))
        };
        let serving = converse(server, answer, &leave);
        let asking = async {
            client.write_all(requests.as_bytes()).await.unwrap();
            begun.notified().await;
            happens(&leave);
            // So that whoever serves has heard of it before there is an answer.
            tokio::task::yield_now().await;
            go_on.notify_one();
            let mut read = String::new();
            client.read_to_string(&mut read).await.unwrap();
            read
        };
        let (served, read) = tokio::join!(serving, asking);
        served.unwrap();
        read
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    #[tokio::test]
    async fn an_answer_that_is_under_way_at_the_end_is_completed() {
        let read = read(REQUEST, |leave| leave.end().cancel()).await;
        assert!(read.starts_with("HTTP/1.1 200 OK\r\n") && read.ends_with("done"), "{read}");
    }

    #[tokio::test]
    async fn the_first_answer_after_another_process_serves_is_the_last() {
        let read = read(&REQUEST.repeat(2), Leave::retire).await;
        assert!(read.contains("connection: close\r\n"), "{read}");
        assert_eq!(read.matches("done").count(), 1, "{read}");
    }
}
