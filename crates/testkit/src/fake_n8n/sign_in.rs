//! Signing in, as n8n 2.40.7 answers it.
//!
//! Every address with an `@` has an account whose password is `right`. Those that begin with `mfa`
//! have a second factor, whose code is `123456`. The session's cookie is `n8n-auth=good`, the API
//! keys `good` and those that begin with `good-`. Those that begin with `jwt` get a cookie like n8n's own, of a user who has shown no
//! second factor and whose id is `id-of-` and their address.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use serde_json::{Map, Value, json};

/// What n8n answers at `head`'s path; nothing if nobody signs in there.
pub(super) fn answer(head: &request::Parts, body: &[u8]) -> Option<Response<String>> {
    let path = head.uri.path().to_ascii_lowercase();
    let (method, headers) = (&head.method, &head.headers);
    match (method, path.trim_end_matches('/')) {
        (&Method::POST, "/rest/login") => Some(login(&form(headers, body))),
        (&Method::GET, "/rest/login") => Some(if has_session(headers) {
            said(StatusCode::OK, &json!({ "data": {} }))
        } else {
            said(StatusCode::UNAUTHORIZED, &json!({ "status": "error", "message": "Unauthorized" }))
        }),
        (&Method::GET, "/rest/settings") => {
            let mut answer = said(StatusCode::OK, &json!({ "data": { "settingsMode": "x" } }));
            answer.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"1\""));
            Some(answer)
        }
        (&Method::POST, "/rest/owner/setup") => Some(signed_in("owner")),
        (&Method::POST, "/rest/forgot-password") => Some(said(StatusCode::OK, &json!({}))),
        (_, "/rest/resolve-password-token" | "/rest/change-password") => {
            Some(said(StatusCode::NOT_FOUND, &json!({ "code": 404, "message": "" })))
        }
        (_, "/rest/invitations/accept" | "/rest/resolve-signup-token") => {
            let wrong = json!({ "code": 400, "message": "Invalid invite URL" });
            Some(said(StatusCode::BAD_REQUEST, &wrong))
        }
        (_, path) if path.starts_with("/webhook/deactivated") => {
            let wrong =
                json!({ "code": 404, "message": "The requested webhook is not registered." });
            Some(said(StatusCode::NOT_FOUND, &wrong))
        }
        (_, path) if path.starts_with("/api/v1/") => {
            let key = headers.get("x-n8n-api-key").map(HeaderValue::as_bytes);
            let good = key.is_some_and(|key| key == b"good" || key.starts_with(b"good-"));
            let wrong = json!({ "message": "unauthorized" });
            (!good).then(|| said(StatusCode::UNAUTHORIZED, &wrong))
        }
        _ => None,
    }
}

fn has_session(headers: &HeaderMap) -> bool {
    let cookies = headers.get(header::COOKIE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    cookies.split("; ").any(|it| it == "n8n-auth=good" || it.starts_with("n8n-auth=ey"))
}

fn form(headers: &HeaderMap, body: &[u8]) -> Map<String, Value> {
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if kind == "application/x-www-form-urlencoded" {
        let fields = form_urlencoded::parse(body);
        return fields.map(|(name, value)| (name.into_owned(), value.into())).collect();
    }
    serde_json::from_slice(body).unwrap_or_default()
}

fn login(form: &Map<String, Value>) -> Response<String> {
    let field = |name: &str| form.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = field("emailOrLdapLoginId").trim().to_lowercase();
    let refused = |code: u16, message: &str| {
        said(StatusCode::UNAUTHORIZED, &json!({ "code": code, "message": message }))
    };
    if !name.contains('@') {
        let wrong = json!({ "code": 400, "message": "Invalid email address" });
        return said(StatusCode::BAD_REQUEST, &wrong);
    }
    match (field("password"), name.starts_with("mfa"), field("mfaCode")) {
        ("right", false, _) | ("right", true, "123456") => signed_in(&name),
        ("right", true, "") => refused(998, "MFA Error"),
        ("right", true, _) => refused(401, "Invalid mfa token or recovery code"),
        _ => refused(401, "Wrong username or password. Do you have caps lock on?"),
    }
}

fn signed_in(name: &str) -> Response<String> {
    let mut answer = said(StatusCode::OK, &json!({ "data": { "email": name } }));
    let token = if name.starts_with("jwt") { token(name, false) } else { "good".to_owned() };
    let session = format!("n8n-auth={token}; Path=/; HttpOnly; Secure");
    let session = HeaderValue::try_from(session).expect("a field");
    answer.headers_mut().insert(header::SET_COOKIE, session);
    answer
}

/// A session's cookie like n8n's own, signed by nobody: of whose address it is, and whether a second factor was
/// shown.
#[must_use]
pub fn token(user: &str, used_mfa: bool) -> String {
    token_of(user, used_mfa, 1)
}

/// The same, made at a time in seconds since 1970.
#[must_use]
pub fn token_of(user: &str, used_mfa: bool, issued: i64) -> String {
    let id = format!("id-of-{user}");
    let ends = issued + 7 * 24 * 3600;
    let claims = json!({ "id": id, "hash": "h", "usedMfa": used_mfa, "iat": issued, "exp": ends });
    format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn said(status: StatusCode, body: &Value) -> Response<String> {
    let mut answer = Response::new(body.to_string());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
