//! A request's body on its way to n8n: whether all of it has gone.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Whether all of a request has been handed over. A connection on which it has not is no use for
/// another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(crate) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pin_project! {
    #[derive(Debug)]
    pub(crate) struct Upload<B> {
        #[pin]
        body: B,
        // Bytes to come, where their number was said.
        left: Option<u64>,
        sent: Sent,
    }
}

impl<B: Body> Upload<B> {
    pub(crate) fn new(body: B) -> Self {
        let left = body.size_hint().exact();
        let sent = Sent(Arc::new(AtomicBool::new(body.is_end_stream() || left == Some(0))));
        Self { body, left, sent }
    }

    pub(crate) fn sent(&self) -> Sent {
        self.sent.clone()
    }
}

impl<B: Body<Data = Bytes>> Body for Upload<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let whole = match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let length = length.try_into().unwrap_or(u64::MAX);
                *this.left = this.left.map(|left| left.saturating_sub(length));
                // hyper asks no further once it has as much as was promised.
                *this.left == Some(0) || this.body.is_end_stream()
            }
            Some(Err(_)) => false,
            None => true,
        };
        if whole {
            this.sent.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
