//! What is said on from hop to hop: nothing that was meant for this hop, nothing that a client
//! says of itself in place of a proxy, and what we know instead.

mod answer;

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use futures_util::TryFutureExt;
use gateway_n8n::is_session_cookie;
use gateway_policy::Permit;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
    uri::PathAndQuery,
};
use tower::{Layer, layer::layer_fn};

use self::answer::Asked;
use super::{Permitted, device, rescue::REQUEST_ID};
use crate::{Answer, Exchange, Failure, Serve};

#[derive(Debug)]
pub(crate) struct Hygiene<S> {
    inner: S,
}

impl<S> Hygiene<S> {
    pub(crate) fn layer() -> impl Layer<S, Service = Self> {
        layer_fn(|inner| Self { inner })
    }
}

/// Fields for one hop (RFC 9110 7.6.1), those that were used as such before it, and `Expect`,
/// which hyper has answered by the time a body is read.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

/// Fields by which proxies speak for others, and by which clients pretend to be one. Some server
/// or framework believes each; n8n believes `Forwarded` and `X-Forwarded-*`
/// (`push/origin-validator.js`, Express's `trust proxy`). Whole families by their beginning.
const SPOOFABLE: [&str; 36] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "forwarded-for-ip",
    "front-end-https",
    "proxy",
    "proxy-client-ip",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Beginnings of whole families of such fields.
const SPOOFABLE_FAMILIES: [&str; 3] = ["x-forwarded", "x-original-forwarded", "x-envoy"];

/// What all of these begin with, and most names do not.
const FIRST_LETTERS: [char; 7] = ['c', 'f', 'p', 't', 'v', 'w', 'x'];

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");

impl<B, S> Serve<Permitted<B>> for Hygiene<S>
where
    B: Send + 'static,
    S: Serve<Permitted<B>, Response = Response<Answer>, Error = Failure>,
{
    type Response = Response<Answer>;
    type Error = Failure;

    fn serve(
        &self,
        mut permitted: Permitted<B>,
    ) -> impl Future<Output = Result<Response<Answer>, Failure>> + Send {
        let (request, permit, exchange) = permitted.parts_mut();
        onward(request, permit, exchange);
        let asked = Asked::of(request, permit, exchange);
        asked.narrow(request.headers_mut());
        let exchange = Arc::clone(permitted.exchange());
        self.inner
            .serve(permitted)
            .and_then(move |response| asked.guarded(homeward(response), exchange))
    }
}

/// Makes of n8n's answer the gateway's own.
fn homeward<A>(mut response: Response<A>) -> Response<A> {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    strip_hop(headers);
    if upgraded {
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::CONNECTION, UPGRADE);
    }
    *response.version_mut() = Version::HTTP_11;
    response
}

/// Makes of a client's request the gateway's own.
fn onward<B>(request: &mut Request<B>, permit: &Permit, exchange: &Exchange) {
    if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
        let target = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(target.unwrap_or(PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip_hop(headers);
    strip_spoofed(headers);
    join_cookies(headers);
    device::strip(headers);
    if permit.withholds_session() {
        device::strip_cookies(headers, is_session_cookie);
    }
    if permit.upgrade() {
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::CONNECTION, UPGRADE);
    }
    let proto = if exchange.connection.tls.is_some() { "https" } else { "http" };
    headers.insert(PROTO, HeaderValue::from_static(proto));
    headers.insert(header::HOST, permit.authority().clone());
    headers.insert(HOST, permit.authority().clone());
    headers.insert(FOR, field(permit.client().address));
    headers.insert(REQUEST_ID, exchange.id().value());
}

/// An address in a field. IPv4 by hand: it stands in each request, and the standard library's own
/// takes a thousand instructions.
fn field(address: IpAddr) -> HeaderValue {
    let text = match address {
        IpAddr::V4(address) => {
            let mut text = Vec::with_capacity("255.255.255.255".len());
            for (at, octet) in address.octets().into_iter().enumerate() {
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|it| b'0' + it);
                let leading = if octet >= 100 { 0 } else { 1 + usize::from(octet < 10) };
                text.extend((at > 0).then_some(b'.'));
                text.extend(digits.iter().skip(leading));
            }
            text
        }
        IpAddr::V6(address) => address.to_string().into_bytes(),
    };
    // Digits, dots and colons are what a field may hold.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}

/// Takes out what was meant for one hop, and what `Connection` names as such. What frames the
/// message or names its host is never a hop's own, whatever a client says.
fn strip_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    strip(headers, |name| is_hop_by_hop(name.as_str()));
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let fields = headers.get_all(header::CONNECTION).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        // What nearly every field says names none.
        .filter(|token| !matches!(*token, b"close" | b"keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect()
}

fn strip_spoofed(headers: &mut HeaderMap) {
    strip(headers, is_spoofable);
}

/// Takes out what `unwanted` tells of.
fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|it| unwanted(it)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

fn is_spoofable(name: &HeaderName) -> bool {
    let name = name.as_str();
    if !name.starts_with(FIRST_LETTERS) {
        return false;
    }
    // Some readers take an underscore for a dash.
    let dashed =
        if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) };
    SPOOFABLE.binary_search(&&*dashed).is_ok()
        || SPOOFABLE_FAMILIES.iter().any(|family| dashed.starts_with(family))
}

/// HTTP/2 may split cookies over several fields; HTTP/1 knows one (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(header::COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(SPOOFABLE.is_sorted());
        let mut all = SPOOFABLE.iter().chain(&SPOOFABLE_FAMILIES);
        assert!(all.all(|it| it.starts_with(FIRST_LETTERS)));
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers
                .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_a_client_says_in_place_of_a_proxy_is_dropped() {
        let mut spoofed = headers(&[
            ("x-forwarded-for", "9.9.9.9"),
            ("X_Forwarded_For", "9.9.9.9"),
            ("x-forwarded-anything", "1"),
            ("forwarded", "for=9.9.9.9"),
            ("cf-connecting-ip", "9.9.9.9"),
            ("x-http-method-override", "DELETE"),
            ("x-rewrite-url", "/rest"),
            ("via", "1.1 evil"),
        ]);
        strip_spoofed(&mut spoofed);
        assert!(spoofed.is_empty(), "{spoofed:?}");
    }

    #[test]
    fn what_n8n_needs_passes() {
        let needed = [
            ("origin", "https://n8n.test"),
            ("browser-id", "b"),
            ("push-ref", "p"),
            ("x-n8n-api-key", "k"),
            ("x-hub-signature-256", "sha256=1"),
            ("stripe-signature", "t=1"),
            ("authorization", "Bearer x"),
            ("cookie", "n8n-auth=x"),
            ("sec-websocket-key", "k"),
            ("mcp-session-id", "s"),
        ];
        let mut kept = headers(&needed);
        strip_hop(&mut kept);
        strip_spoofed(&mut kept);
        assert_eq!(kept.len(), needed.len());
    }

    #[test]
    fn what_is_named_by_connection_goes_but_framing_and_host_stay() {
        let mut named = headers(&[
            ("connection", "close, X-Secret , Content-Length"),
            ("connection", "Host"),
            ("x-secret", "1"),
            ("content-length", "5"),
            ("host", "n8n.test"),
            ("te", "trailers"),
        ]);
        strip_hop(&mut named);
        assert!(named.contains_key("content-length") && named.contains_key("host"));
        assert_eq!(named.len(), 2, "{named:?}");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        let octets = [0, 1, 9, 10, 42, 99, 100, 109, 110, 199, 200, 255];
        for (a, b) in octets.iter().flat_map(|a| octets.map(|b| (*a, b))) {
            let address = IpAddr::from([a, b, b, a]);
            assert_eq!(field(address), address.to_string());
        }
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(field(address), "2001:db8::1");
    }

    #[test]
    fn cookies_are_joined() {
        let mut split = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut split);
        assert_eq!(split.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
