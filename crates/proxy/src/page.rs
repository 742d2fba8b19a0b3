//! Answers of the gateway's own: a page for a person, JSON for a program, and nothing in either
//! that tells what stands behind.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};

use crate::{Answer, Exchange};

const JSON: &str = "application/json; charset=utf-8";

/// An answer with `status` that says `text`.
pub(crate) fn answer(
    status: StatusCode,
    text: &'static str,
    exchange: &Arc<Exchange>,
) -> Response<Answer> {
    let id = exchange.id();
    let (kind, body) = if exchange.wants_html() {
        ("text/html; charset=utf-8", page(status, text, &id.to_string()))
    } else {
        let code = status.as_u16();
        let json = format!("{{\"code\":{code},\"message\":\"{text}\",\"requestId\":\"{id}\"}}\n");
        (JSON, json)
    };
    let mut response = own(status, kind, body, exchange);
    if status.is_server_error() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// An answer in n8n's own words, which its editor understands.
pub(crate) fn as_n8n(status: StatusCode, json: &str, exchange: &Arc<Exchange>) -> Response<Answer> {
    own(status, JSON, json.to_owned(), exchange)
}

fn own(
    status: StatusCode,
    kind: &'static str,
    body: String,
    exchange: &Arc<Exchange>,
) -> Response<Answer> {
    let mut response = Response::new(Answer::own(body, exchange));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn page(status: StatusCode, text: &str, id: &str) -> String {
    let code = status.as_u16();
    let title = status.canonical_reason().unwrap_or("Error");
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{code} {title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}}\
         small{{opacity:.6}}</style>\
         <h1>{title}</h1><p>{text}</p><small>Request {id}</small></html>\n"
    )
}
