//! The way to a CA: HTTPS, with a limit on everything that a server could make us wait for or keep.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Limited;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use instant_acme::{BodyWrapper, BytesResponse, Error as Acme, HttpClient};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::time::timeout;

use super::Directory;
use crate::{Clock, SystemClock};

/// How a directory is reached.
pub trait Internet: fmt::Debug + Send + Sync {
    /// The way to `directory`.
    ///
    /// # Errors
    ///
    /// Why there is none: roots that cannot be read, for one.
    fn way(&self, directory: &Directory) -> Result<Box<dyn HttpClient>, NoInternet>;
}

/// Why a directory cannot be reached at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoInternet(pub String);

/// The internet itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Https;

/// How long a connection without a request is kept: an order is a dozen requests within seconds.
const IDLE: Duration = Duration::from_secs(10);

/// The longest answer that a CA has reason to give: a chain of certificates is some kilobytes.
const LONGEST: usize = 1 << 20;

/// How long one request may take. Let's Encrypt's own clients wait 30 seconds and more.
const PATIENCE: Duration = Duration::from_secs(45);

impl Internet for Https {
    fn way(&self, directory: &Directory) -> Result<Box<dyn HttpClient>, NoInternet> {
        let roots = match &directory.roots {
            Some(pem) => given(pem)?,
            None => machines()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| NoInternet(why.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector.build());
        Ok(Box::new(Way(client)))
    }
}

fn given(pem: &[u8]) -> Result<RootCertStore, NoInternet> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(pem) {
        let one = one.map_err(|why| NoInternet(format!("`root` is not PEM: {why}")))?;
        roots.add(one).map_err(|why| NoInternet(format!("`root` cannot be used: {why}")))?;
    }
    if roots.is_empty() {
        return Err(NoInternet("`root` has no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn machines() -> Result<RootCertStore, NoInternet> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = "this machine trusts no CA: install ca-certificates, or name a bundle in \
                   SSL_CERT_FILE";
        return Err(NoInternet(why.to_owned()));
    }
    Ok(roots)
}

struct Way(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

type Asked = Pin<Box<dyn Future<Output = Result<BytesResponse, Acme>> + Send>>;

impl HttpClient for Way {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Asked {
        let asked = self.0.request(request);
        Box::pin(async move {
            let response = asked.await.map_err(|why| Acme::Other(Box::new(why)))?;
            Ok(BytesResponse::from(response.map(|body| Limited::new(body, LONGEST))))
        })
    }
}

/// What the last answer said besides its body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// How many seconds the CA asks to wait.
    pub(crate) retry_after: Option<u64>,
}

/// A way to a CA that gives up in time, says who asks, and keeps what instant-acme drops.
pub(crate) struct Polite {
    inner: Box<dyn HttpClient>,
    heard: Arc<Mutex<Heard>>,
}

/// RFC 8555 6.1: a client says who it is.
const AGENT: &str = concat!("n8n-gateway/", env!("CARGO_PKG_VERSION"), " instant-acme/0.8");

/// RFC 9773 4.3.2: how long a client waits where the CA does not say.
const ASK_AGAIN: u64 = 21_600;

/// The longest that a CA is believed when it asks to be left alone, in seconds: a week, the longest
/// of Let's Encrypt's own limits.
pub(crate) const LONGEST_LIMIT: u64 = 7 * 86_400;

/// How many seconds `Retry-After` means: a number, or a date (RFC 9110 10.2.3).
fn seconds_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let until = |date: SystemTime| date.duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs());
    let left = match text.parse() {
        Ok(seconds) => seconds,
        Err(_) => {
            let then = httpdate::parse_http_date(text).ok().and_then(until)?;
            then.saturating_sub(SystemClock.now().unsigned_abs())
        }
    };
    Some(left.min(LONGEST_LIMIT))
}

impl Polite {
    pub(crate) fn new(inner: Box<dyn HttpClient>, heard: Arc<Mutex<Heard>>) -> Self {
        Self { inner, heard }
    }
}

impl HttpClient for Polite {
    fn request(&self, mut request: Request<BodyWrapper<Bytes>>) -> Asked {
        let agent = header::HeaderValue::from_static(AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let (asked, heard) = (self.inner.request(request), Arc::clone(&self.heard));
        Box::pin(async move {
            let whole = async {
                let BytesResponse { parts, mut body } = asked.await?;
                let body = body.into_bytes().await.map_err(Acme::Other)?;
                Ok::<_, Acme>((parts, body))
            };
            let late = |_| Acme::Other(io::Error::from(io::ErrorKind::TimedOut).into());
            let (mut parts, body) = timeout(PATIENCE, whole).await.map_err(late)??;
            let seconds = parts.headers.remove(header::RETRY_AFTER);
            let seconds = seconds.and_then(|it| seconds_of(it.to_str().ok()?));
            let mut last = heard.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Heard { retry_after: seconds };
            drop(last);
            // Where it is asked how long, instant-acme wants to be told; and adds whatever it is told
            // to the time of day.
            let agreed = header::HeaderValue::from(seconds.unwrap_or(ASK_AGAIN));
            parts.headers.insert(header::RETRY_AFTER, agreed);
            understood(parts.status, &body)?;
            Ok(BytesResponse::from(Response::from_parts(parts, http_body_util::Full::new(body))))
        })
    }
}

/// A failure that is no problem document is not the protocol's: a proxy's page, a crash.
fn understood(status: StatusCode, body: &[u8]) -> Result<(), Acme> {
    let fine = status.is_success() || serde_json::from_slice::<instant_acme::Problem>(body).is_ok();
    if fine { Ok(()) } else { Err(Acme::Other(format!("it answers {status}").into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_says_how_long_in_either_form_and_is_believed_for_a_week() {
        assert_eq!(seconds_of(" 120 "), Some(120));
        assert_eq!(seconds_of("18446744073709551615"), Some(LONGEST_LIMIT));
        assert_eq!(seconds_of("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST_LIMIT));
        assert_eq!(seconds_of("Fri, 31 Dec 1999 23:59:59 GMT"), Some(0));
        assert_eq!(seconds_of("soon"), None);
    }
}
