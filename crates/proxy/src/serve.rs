//! The one trait that layers are made of.
//!
//! A layer does its part when it is called and gives the next one's future, with no more around it
//! than it needs: an `async` function would keep what it hands on, twice, for as long as the answer
//! takes, and twelve of them made a request of 13 KiB. From `rescue` on all of it happens while `rescue`
//! is polled, so a panic costs one request wherever it comes from.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use futures_util::future::Either;

/// Something that serves a request: tower's `Service`, with a shared receiver and an async
/// method, so that a whole stack is one future without a box at each layer. Layers are tower's.
pub trait Serve<R>: Send + Sync + 'static {
    /// What it gives.
    type Response: Send;
    /// How it fails.
    type Error: Send;

    /// Serves one request.
    fn serve(&self, request: R)
    -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;
}

/// Goes on with what has passed, or ends with what stands against it.
pub(crate) fn go_on<R, F, T, E>(
    passed: Result<R, E>,
    next: impl FnOnce(R) -> F,
) -> Either<F, Ready<Result<T, E>>>
where
    F: Future<Output = Result<T, E>>,
{
    match passed {
        Ok(request) => Either::Left(next(request)),
        Err(why) => Either::Right(ready(Err(why))),
    }
}

impl<R: Send + 'static, S: Serve<R>> Serve<R> for Arc<S> {
    type Response = S::Response;
    type Error = S::Error;

    fn serve(&self, request: R) -> impl Future<Output = Result<S::Response, S::Error>> + Send {
        S::serve(self, request)
    }
}
