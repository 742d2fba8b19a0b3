//! A collector that is reached over HTTP.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use gateway_config::Otlp;
use gateway_telemetry::rejected;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::time::timeout;

use super::{Deliver, Delivered};

/// How long one request may take. Source: OTLP's own default.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The longest answer that a collector has reason to give.
const LONGEST: usize = 64 << 10;

/// Where log records go.
pub(crate) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    headers: HeaderMap,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Collector {
    /// The collector that a policy names.
    ///
    /// # Errors
    ///
    /// Why it could not be believed.
    pub(crate) fn new(named: &Otlp) -> anyhow::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(named)?)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector.build());
        let mut headers = HeaderMap::new();
        for (name, secret) in &named.headers {
            let mut value = HeaderValue::from_str(secret.expose())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let agent = concat!("n8n-gateway/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, protobuf);
        Ok(Self { client, url: named.url.clone(), headers })
    }

    async fn post(&self, body: Bytes) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let mut request = Request::post(self.url.clone());
        request.headers_mut().into_iter().for_each(|it| it.clone_from(&self.headers));
        let request = request.body(Full::new(body)).map_err(|why| why.to_string())?;
        let answer = self.client.request(request).await.map_err(|why| told(&why))?;
        let (head, body) = answer.into_parts();
        #[expect(clippy::disallowed_methods, reason = "limited on the same line")]
        let body = Limited::new(body, LONGEST).collect().await;
        // What it says is worth less than that it has answered.
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok((head.status, head.headers, body))
    }
}

impl Deliver for Collector {
    async fn deliver(&self, body: Bytes) -> Delivered {
        match timeout(PATIENCE, self.post(body)).await {
            Ok(Ok((status, headers, body))) => verdict(status, &headers, &body),
            Ok(Err(why)) => Delivered::Later(format!("{}: {why}", self.url), None),
            Err(_) => {
                let why = format!("{} does not answer in {} s", self.url, PATIENCE.as_secs());
                Delivered::Later(why, None)
            }
        }
    }
}

/// What an answer means. Source: OTLP 1.9, "OTLP/HTTP Response".
fn verdict(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Delivered {
    if status.is_success() {
        let (rejected, why) = rejected(body);
        return Delivered::Taken(rejected, why);
    }
    let later = matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504);
    let why = format!("the collector answers {status}");
    if !later {
        return Delivered::Refused(why);
    }
    let asked =
        headers.get(header::RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
    Delivered::Later(why, asked.map(Duration::from_secs))
}

/// An error with what is behind it.
fn told(why: &dyn std::error::Error) -> String {
    let mut all = why.to_string();
    let mut source = why.source();
    while let Some(why) = source {
        all.push_str(&format!(": {why}"));
        source = why.source();
    }
    all
}

fn roots(named: &Otlp) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if named.url.scheme_str() != Some("https") {
        return Ok(roots);
    }
    match &named.ca {
        Some((file, pem)) => {
            for one in CertificateDer::pem_slice_iter(pem) {
                roots.add(one?).with_context(|| file.display().to_string())?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        bail!(
            "`log.otlp`: this machine trusts no CA: install ca-certificates, or name one in `ca`"
        );
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_answers_says_whether_to_come_again() {
        let none = HeaderMap::new();
        let of = |status: u16, headers: &HeaderMap| {
            verdict(StatusCode::from_u16(status).unwrap(), headers, b"")
        };
        assert_eq!(of(200, &none), Delivered::Taken(0, String::new()));
        assert_eq!(of(202, &none), Delivered::Taken(0, String::new()));
        for status in [400, 401, 403, 404, 413, 415, 500] {
            assert!(matches!(of(status, &none), Delivered::Refused(_)), "{status}");
        }
        for status in [408, 429, 502, 503, 504] {
            assert!(matches!(of(status, &none), Delivered::Later(_, None)), "{status}");
        }
        let mut asks = HeaderMap::new();
        asks.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let expected = Some(Duration::from_secs(7));
        assert!(matches!(of(503, &asks), Delivered::Later(_, it) if it == expected));
    }
}
