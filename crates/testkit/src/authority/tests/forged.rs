//! Requests that are not what a client signed.

use bytes::Bytes;
use http::Request;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use serde_json::Value;

use super::*;

/// What happens to a request to `/new-order` on its way.
#[derive(Clone, Copy)]
enum Forgery {
    Another,
    Method,
    Replayed,
    Signature,
    Url,
}

struct Forger {
    forgery: Forgery,
    inner: Arc<dyn HttpClient>,
}

impl HttpClient for Forger {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (forgery, inner) = (self.forgery, self.inner.clone());
        if request.uri().path() != "/new-order" {
            return inner.request(request);
        }
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let body = BytesResponse::from(http::Response::new(body)).body.into_bytes().await;
            let mut jws: Value = serde_json::from_slice(&body.expect("bytes")).expect("JSON");
            match forgery {
                Forgery::Another => jws["payload"] = "e30".into(),
                Forgery::Method => parts.method = http::Method::GET,
                Forgery::Signature => jws["signature"] = "A".repeat(86).into(),
                Forgery::Url => parts.uri = "https://ca.test/revoke".parse().expect("a URL"),
                Forgery::Replayed => {}
            }
            let again = || {
                let mut request = Request::new(BodyWrapper::from(jws.to_string().into_bytes()));
                *request.method_mut() = parts.method.clone();
                *request.uri_mut() = parts.uri.clone();
                *request.headers_mut() = parts.headers.clone();
                request
            };
            if matches!(forgery, Forgery::Replayed) {
                drop(inner.request(again()).await);
            }
            inner.request(again()).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn forged_requests_are_refused() {
    let all = [
        (Forgery::Another, "malformed"),
        (Forgery::Method, "malformed"),
        (Forgery::Replayed, "badNonce"),
        (Forgery::Signature, "malformed"),
        (Forgery::Url, "unauthorized"),
    ];
    for (forgery, expected) in all {
        let (authority, _) = authority();
        let (_, credentials) = make_account(&authority, None).await.expect("an account");
        let forger = Forger { forgery, inner: Arc::from(authority.transport()) };
        let account = Account::builder_with_http(Box::new(forger)).from_credentials(credentials);
        let account = account.await.expect("the account");
        let names = [dns("n8n.test")];
        assert_eq!(kind(account.new_order(&NewOrder::new(&names)).await), expected);
    }
}
