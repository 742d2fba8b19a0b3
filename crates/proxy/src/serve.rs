//! The one trait that layers are made of.

use std::sync::Arc;

/// Something that serves a request: tower's `Service`, with a shared receiver and an async
/// method, so that a whole stack is one future without a box at each layer. Layers are tower's.
pub trait Serve<R>: Send + Sync + 'static {
    /// What it gives.
    type Response;
    /// How it fails.
    type Error;

    /// Serves one request.
    fn serve(&self, request: R)
    -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;
}

impl<R: Send + 'static, S: Serve<R>> Serve<R> for Arc<S> {
    type Response = S::Response;
    type Error = S::Error;

    fn serve(&self, request: R) -> impl Future<Output = Result<S::Response, S::Error>> + Send {
        S::serve(self, request)
    }
}
