//! The cookie by which a device that has signed in is known again. n8n never sees it.

use gateway_policy::DEVICE_LASTS;
use http::{HeaderMap, HeaderValue, header};

/// `__Host-`: from this host alone, over TLS, for the whole of it (RFC 6265bis 4.1.3.2).
const NAME: &str = "__Host-gateway-device";

/// The cookie's value in a request.
#[must_use]
pub fn cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut crumbs = headers.get_all(header::COOKIE).iter().flat_map(crumbs);
    crumbs.find_map(value).and_then(|value| HeaderValue::from_bytes(value).ok())
}

/// The field that gives a device its cookie.
#[must_use]
pub fn set_cookie(value: &HeaderValue) -> Option<HeaderValue> {
    let value = value.to_str().ok()?;
    let lasts = DEVICE_LASTS.as_secs();
    let attributes = format!("Path=/; Max-Age={lasts}; Secure; HttpOnly; SameSite=Strict");
    HeaderValue::try_from(format!("{NAME}={value}; {attributes}")).ok()
}

/// Takes the cookie out of a request.
pub fn strip(headers: &mut HeaderMap) {
    strip_cookies(headers, |crumb| value(crumb).is_some());
}

/// Takes the cookies that `unwanted` tells of out of a request.
pub(crate) fn strip_cookies(headers: &mut HeaderMap, unwanted: impl Fn(&[u8]) -> bool) {
    let mut fields = headers.get_all(header::COOKIE).iter();
    if !fields.any(|field| crumbs(field).any(&unwanted)) {
        return;
    }
    let others = headers.get_all(header::COOKIE).iter().flat_map(crumbs);
    let others: Vec<&[u8]> = others.filter(|crumb| !unwanted(crumb)).collect();
    let others = HeaderValue::from_bytes(&others.join(b"; ".as_slice()));
    headers.remove(header::COOKIE);
    if let Ok(others) = others
        && !others.is_empty()
    {
        headers.insert(header::COOKIE, others);
    }
}

fn crumbs(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    field.as_bytes().split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|it| !it.is_empty())
}

fn value(crumb: &[u8]) -> Option<&[u8]> {
    crumb.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_device_is_read_and_kept_from_n8n() {
        for (cookies, device, others) in [
            (&["a=1; __Host-gateway-device=x.y; b=2"][..], Some("x.y"), Some("a=1; b=2")),
            (&["__Host-gateway-device=x"], Some("x"), None),
            (&["a=1", "__Host-gateway-device=x;b=2"], Some("x"), Some("a=1; b=2")),
            (&["a=1; x__Host-gateway-device=x"], None, Some("a=1; x__Host-gateway-device=x")),
            (&["a=__Host-gateway-device=x"], None, Some("a=__Host-gateway-device=x")),
            (&[], None, None),
        ] {
            let mut headers = headers(cookies);
            let text = |it: &HeaderValue| it.to_str().unwrap().to_owned();
            assert_eq!(cookie(&headers).as_ref().map(text).as_deref(), device, "{cookies:?}");
            strip(&mut headers);
            let left = headers.get(header::COOKIE).map(text);
            assert_eq!(left.as_deref(), others, "{cookies:?}");
        }
    }
}
