//! What is wrong with a request that came by HTTP/2 and is to be sent on by HTTP/1, where all of its
//! parts stand in one text. What cannot be a request at all hyper has refused before.

use http::{HeaderMap, Method, Request, header};

use crate::{
    HeadSize,
    strict::{Flaw, METHOD_BYTES, is_target},
};

/// What is wrong with a head, as it would be in HTTP/1.
pub(crate) fn flaw<B>(request: &Request<B>, most: &HeadSize) -> Option<Flaw> {
    check(request, most).err()
}

fn check<B>(request: &Request<B>, most: &HeadSize) -> Result<(), Flaw> {
    let (uri, fields) = (request.uri(), request.headers());
    let method = request.method();
    if method == Method::CONNECT {
        return Err(Flaw::Connect);
    }
    if method.as_str().len() > METHOD_BYTES {
        return Err(Flaw::RequestLine);
    }
    let target = uri.path_and_query().map_or("", |it| it.as_str());
    if target.len() > most.target {
        return Err(Flaw::LongTarget);
    }
    // Another address may stand in a target of HTTP/1, never in `:path` (RFC 9113 8.3.1).
    if !target.starts_with('/') && target != "*" {
        return Err(Flaw::NoPath);
    }
    is_target(target.as_bytes())?;
    if uri.scheme_str().is_some_and(|it| it != "https" && it != "http") {
        return Err(Flaw::NoPath);
    }
    sized(method.as_str().len() + target.len(), fields, most)?;
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    if lengths.next().is_some() && lengths.next().is_some() {
        return Err(Flaw::Length);
    }
    Ok(())
}

/// Whether the head would have passed as one of HTTP/1. A browser sends each cookie as a field of
/// its own (RFC 9113 8.2.3), and they become one again.
fn sized(line: usize, fields: &HeaderMap, most: &HeadSize) -> Result<(), Flaw> {
    let cookies = fields.get_all(header::COOKIE).iter().count();
    if fields.len() - cookies.saturating_sub(1) > most.fields {
        return Err(Flaw::ManyFields);
    }
    let bytes = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if line + bytes.sum::<usize>() > most.bytes { Err(Flaw::LongHead) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(request: http::request::Builder) -> Option<Flaw> {
        flaw(&request.body(()).unwrap(), &HeadSize::default())
    }

    fn get(target: &str) -> http::request::Builder {
        Request::get(target)
    }

    #[test]
    fn what_is_sound_in_http_1_is_sound() {
        assert_eq!(found(get("https://n8n.test/webhook/x?y=z")), None);
        assert_eq!(found(get("/").header("content-length", "4")), None);
        let twice = get("/").header("content-length", "4").header("content-length", "4");
        assert_eq!(found(twice), Some(Flaw::Length));
        assert_eq!(found(Request::connect("n8n.test:443")), Some(Flaw::Connect));
        assert_eq!(found(Request::options("*")), Some(Flaw::Asterisk));
        assert_eq!(found(get("/\u{e9}")), Some(Flaw::Target));
        assert_eq!(found(get("ftp://n8n.test/")), Some(Flaw::NoPath));
        assert_eq!(found(get("/").method(&*"A".repeat(25))), Some(Flaw::RequestLine));
        let target = |length: usize| found(get(&format!("/{}", "a".repeat(length - 1))));
        assert_eq!((target(8192), target(8193)), (None, Some(Flaw::LongTarget)));
    }

    #[test]
    fn sizes_are_those_of_http_1_and_cookies_are_one_field() {
        let fields = |count: usize, cookies: usize| {
            let mut request = get("/");
            for number in 0..count {
                request = request.header(format!("x-{number}"), "v");
            }
            for number in 0..cookies {
                request = request.header("cookie", format!("c{number}=v"));
            }
            found(request)
        };
        assert_eq!(fields(100, 0), None);
        assert_eq!(fields(101, 0), Some(Flaw::ManyFields));
        assert_eq!(fields(99, 300), None);
        assert_eq!(fields(100, 1), Some(Flaw::ManyFields));
        // `GET`, `/`, the field's name and four bytes around it.
        let whole = 32 * 1024 - 4 - 3 - 4;
        assert_eq!(found(get("/").header("x-a", "a".repeat(whole))), None);
        let more = get("/").header("x-a", "a".repeat(whole + 1));
        assert_eq!(found(more), Some(Flaw::LongHead));
    }
}
