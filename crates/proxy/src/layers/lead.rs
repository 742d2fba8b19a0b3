//! Where a second factor is insisted on, n8n's editor is led to enrol by n8n's own settings, which
//! n8n itself says this in only with a licence.

use bytes::Bytes;
use futures_util::future::Either;
use gateway_n8n::insisting;
use http::{HeaderValue, Response, StatusCode, header};
use tower::{Layer, layer::layer_fn};

use super::Permitted;
use crate::{Answer, Cut, Failure, Fault, Serve, body::Whole};

/// The largest answer in bytes: n8n's settings have about 20 KiB.
const LARGEST: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Lead<S> {
    inner: S,
}

impl<S> Lead<S> {
    pub(crate) fn layer() -> impl Layer<S, Service = Self> {
        layer_fn(|inner| Self { inner })
    }
}

impl<B, S> Serve<Permitted<B>> for Lead<S>
where
    B: Send + 'static,
    S: Serve<Permitted<B>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Failure;

    fn serve(
        &self,
        permitted: Permitted<B>,
    ) -> impl Future<Output = Result<Response<Answer>, Failure>> + Send {
        if permitted.permit().leads_to_second_factor() {
            // Boxed: it is rare, and every other request would have to be as large.
            Either::Right(Box::pin(self.lead(permitted)))
        } else {
            Either::Left(self.inner.serve(permitted))
        }
    }
}

impl<S> Lead<S> {
    async fn lead<B>(&self, mut permitted: Permitted<B>) -> Result<Response<Answer>, Failure>
    where
        B: Send + 'static,
        S: Serve<Permitted<B>, Response = Response<Answer>, Error = Failure>,
    {
        let (request, _, _) = permitted.parts_mut();
        // So that n8n sends all of it, as it can be read.
        for field in [
            header::ACCEPT_ENCODING,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::RANGE,
        ] {
            request.headers_mut().remove(field);
        }
        let exchange = permitted.exchange().clone();
        let response = self.inner.serve(permitted).await?;
        if response.status() != StatusCode::OK {
            return Ok(response);
        }
        let (mut head, body) = response.into_parts();
        let settings = whole(body).await?;
        let settings = insisting(&settings).map_or(settings, Bytes::from);
        head.headers.remove(header::ETAG);
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(settings.len()));
        head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(Response::from_parts(head, Answer::own(settings, &exchange)))
    }
}

async fn whole(body: Answer) -> Result<Bytes, Failure> {
    match body.whole(LARGEST).await {
        Ok(Whole::Read(settings)) => Ok(settings),
        Ok(Whole::More(_)) => {
            Err(Failure::Faulty(Fault::Broken, "settings that are larger than n8n's".into()))
        }
        Err(why @ Cut::Silent) => Err(Failure::Faulty(Fault::Timeout, why.into())),
        Err(why) => Err(Failure::Faulty(Fault::Broken, why.into())),
    }
}
