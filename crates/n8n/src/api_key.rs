//! API keys: where a request shows one, what a key says of itself, what of the public API only
//! reads, and which answers show that n8n took a key.
//!
//! A key is a JWT that n8n looks up by its whole text, so its claims are its own; but who says so has
//! to be n8n. They are good for refusing and for nothing else.
//!
//! Source: n8n 2.40.7 `services/{api-key-auth.strategy,public-api-key.service}.js`,
//! `modules/token-exchange/services/scoped-jwt.strategy.js` (bearers at the public API),
//! `modules/mcp/{mcp-server-middleware,mcp-api-key}.service.js` (bearers at the instance's MCP server),
//! `public-api/v1/openapi.yml` and `public-api/v1/controllers`. No key stands in a query.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::{Located, Surface, session::has_session};

/// The header that carries an API key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-n8n-api-key");

/// The longest key that is looked into, in bytes. n8n's own have about 270.
const LONGEST: usize = 4096;

/// The longest name of a user: n8n's are UUIDs.
const LONGEST_USER: usize = 64;

/// What n8n answers, with 401, to a key that it does not take.
pub const KEY_UNAUTHORIZED: &str = r#"{"message":"Unauthorized"}"#;

/// What n8n answers, with 403, to a key that may not do what it asks.
pub const KEY_FORBIDDEN: &str = r#"{"message":"Forbidden"}"#;

/// The name by which the instance's MCP server stands among the resources.
pub const MCP_SERVER: &str = "mcp-server";

/// The public API's resources: the first segments below `/api/v1` that n8n asks a key for. A test against
/// the installed n8n reads them again.
pub static RESOURCES: [&str; 20] = [
    "audit",
    "community-packages",
    "credentials",
    "data-tables",
    "discover",
    "executions",
    "insights",
    "n8n-packages",
    "node-type-policies",
    "projects",
    "promotions",
    "role-mapping-rules",
    "roles",
    "settings",
    "source-control",
    "tags",
    "users",
    "variables",
    "workflows",
    MCP_SERVER,
];

/// What of the public API only reads although it is no GET: the security report, and the export of
/// workflows. Trying a credential or sending a trace reaches out, so that it is not among them.
pub static READING: [(Method, &str); 2] =
    [(Method::POST, "audit"), (Method::POST, "n8n-packages/export")];

/// The keys that a request shows, each once. Where several stand, n8n takes one or none of them: whoever
/// judges them judges all.
#[must_use]
pub fn shown_keys(surface: Surface, headers: &HeaderMap) -> Vec<&[u8]> {
    let (own, bearer) = match surface {
        Surface::PublicApi => (Some(API_KEY), true),
        Surface::McpServer => (None, true),
        _ => (None, false),
    };
    let own = own.into_iter().flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes);
    let bearers = bearer.then_some(header::AUTHORIZATION).into_iter();
    let bearers = bearers.flat_map(|name| headers.get_all(name));
    let bearers = bearers.filter_map(|it| bearer_of(it.as_bytes())).filter(|it| !is_oauth(it));
    let mut keys = Vec::new();
    for key in own.chain(bearers).filter(|key| !key.is_empty()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// What follows `Bearer`, in any case, without what JavaScript takes for spaces around it (`trim`, in
/// `services/scoped-jwt.strategy.js`).
fn bearer_of(field: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = field.split_at_checked(b"Bearer".len())?;
    let space = |b: &u8| matches!(b, b' ' | b'\t' | 0xA0);
    let from = rest.iter().position(|b| !space(b)).unwrap_or(rest.len());
    let to = rest.iter().rposition(|b| !space(b)).map_or(from, |last| last + 1);
    scheme.eq_ignore_ascii_case(b"Bearer").then(|| rest.get(from..to).unwrap_or_default())
}

/// The claims of a JWT, whoever has signed it.
fn payload(token: &[u8]) -> Option<Value> {
    if token.len() > LONGEST {
        return None;
    }
    let payload = token.split(|b| *b == b'.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Whether it is a token of the OAuth server's, which comes anew each hour and is no key. n8n takes
/// none of them for a key.
fn is_oauth(token: &[u8]) -> bool {
    let is = |claims: &Value| claims.get("meta")?.get("isOAuth")?.as_bool();
    payload(token).as_ref().and_then(is).unwrap_or_default()
}

/// Whether it is a token that was given for another system's, which comes anew for each use: n8n takes it
/// in a key's place, but nobody knows it again (`modules/token-exchange`).
fn is_exchanged(token: &[u8]) -> bool {
    payload(token).is_some_and(|it| it.get("iss").is_some_and(|iss| iss == "n8n-token-exchange"))
}

/// The user whose key it is, by n8n's own id, if it says so.
#[must_use]
pub fn key_user(key: &[u8]) -> Option<String> {
    let claims = payload(key)?;
    let user = claims.get("sub")?.as_str()?;
    let plain = |b: u8| b.is_ascii_graphic();
    let fits = !user.is_empty() && user.len() <= LONGEST_USER && user.bytes().all(plain);
    fits.then(|| user.to_owned())
}

/// The resource of the public API that is asked for, as it is spelled; nothing where n8n asks for no key
/// at all.
#[must_use]
pub fn resource<'p>(located: &Located<'p>) -> Option<&'p str> {
    match located.surface {
        Surface::McpServer => Some(MCP_SERVER),
        Surface::PublicApi => {
            let below = below_version(located);
            let first = below.split('/').next().unwrap_or_default();
            let open = ["docs", "openapi.yml"].iter().any(|it| first.eq_ignore_ascii_case(it));
            (!open).then_some(first)
        }
        _ => None,
    }
}

/// What follows the version: `workflows/1`.
fn below_version<'p>(located: &Located<'p>) -> &'p str {
    located.tail.split_once('/').map_or("", |(_, below)| below).trim_end_matches('/')
}

/// Whether nothing is changed by what is asked for. What a call of the MCP server does stands in its
/// body, and any tool may be called: it does not only read.
#[must_use]
pub fn only_reads(located: &Located<'_>, method: &Method) -> bool {
    if located.surface != Surface::PublicApi {
        return matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    }
    let below = below_version(located);
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || READING.iter().any(|(of, path)| of == method && *path == below)
}

/// Whether n8n's answer could show that it took the key that is shown: where it lets nobody in without
/// one. What it does not have it answers before it looks at a key, `OPTIONS` too; a session in the same
/// request could be what it took; and where there is no MCP server, its path has the editor's page for
/// whoever sends GET.
#[must_use]
pub fn could_show_key(located: &Located<'_>, method: &Method, headers: &HeaderMap) -> bool {
    let known = |it: &str| RESOURCES.iter().any(|resource| it.eq_ignore_ascii_case(resource));
    let asked = *method != Method::OPTIONS && resource(located).is_some_and(known);
    let asks = located.surface == Surface::PublicApi || *method == Method::POST;
    let [key] = shown_keys(located.surface, headers)[..] else { return false };
    asked && asks && !has_session(headers) && !is_exchanged(key)
}

/// Whether an answer with `status` shows it then. To what it takes for a search engine n8n answers 204
/// everywhere; 400 and 404 come before it looks at a key, too; 403 is for keys that it knows.
#[must_use]
pub fn took_key(status: StatusCode) -> bool {
    (status.is_success() && status != StatusCode::NO_CONTENT)
        || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Surfaces, session::tests::token_of};

    fn located(path: &str) -> Located<'_> {
        Surfaces::new(&Endpoints::default()).locate(path, false).unwrap()
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        headers
    }

    #[test]
    fn keys_are_found_where_n8n_looks_for_them() {
        let oauth = format!("authorization: Bearer {}", token_of(r#"{"meta":{"isOAuth":true}}"#));
        let (api, mcp) = ("/api/v1/workflows", "/mcp-server/http");
        for (path, lines, expected) in [
            (api, vec!["x-n8n-api-key: k"], vec!["k"]),
            (api, vec!["x-n8n-api-key: a", "x-n8n-api-key: b"], vec!["a", "b"]),
            (api, vec!["x-n8n-api-key: a", "authorization: bearer  b"], vec!["a", "b"]),
            (api, vec!["x-n8n-api-key: k", "authorization: Bearer k"], vec!["k"]),
            (api, vec!["authorization: Basic k"], vec![]),
            (api, vec!["authorization: Bearer"], vec![]),
            (api, vec!["x-n8n-api-key: "], vec![]),
            ("/api/v1/workflows?apiKey=k", vec![], vec![]),
            (mcp, vec!["authorization: Bearer k"], vec!["k"]),
            (mcp, vec!["x-n8n-api-key: k"], vec![]),
            (mcp, vec![oauth.as_str()], vec![]),
            ("/rest/workflows", vec!["x-n8n-api-key: k", "authorization: Bearer k"], vec![]),
            ("/webhook/x", vec!["x-n8n-api-key: k", "authorization: Bearer k"], vec![]),
            ("/mcp/x", vec!["authorization: Bearer k"], vec![]),
        ] {
            let path = path.split('?').next().unwrap();
            let headers = headers(&lines);
            let found = shown_keys(located(path).surface, &headers);
            let expected: Vec<_> = expected.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(found, expected, "{path} {lines:?}");
        }
        let mut odd = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"Bearer\xA0k\xA0\xA0").unwrap();
        odd.insert(header::AUTHORIZATION, value);
        assert_eq!(shown_keys(Surface::PublicApi, &odd), [b"k"], "spaces to JavaScript");
    }

    #[test]
    fn a_key_says_whose_it_is() {
        for (payload, expected) in [
            (r#"{"sub":"u1","iss":"n8n","aud":"public-api","jti":"j"}"#, Some("u1")),
            (r#"{"sub":7}"#, None),
            (r#"{"sub":""}"#, None),
            (r#"{"sub":"a b"}"#, None),
            (r#"{"iss":"n8n"}"#, None),
        ] {
            assert_eq!(key_user(token_of(payload).as_bytes()).as_deref(), expected, "{payload}");
        }
        for odd in ["n8n_api_0123", "", "a.b.c", "...."] {
            assert_eq!(key_user(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn what_only_reads_is_told_from_what_changes_something() {
        for (line, reads, what) in [
            ("GET /api/v1/workflows", true, Some("workflows")),
            ("HEAD /api/v1/workflows/1/tags", true, Some("workflows")),
            ("GET /api/v1/settings/ldap/sync", true, Some("settings")),
            ("POST /api/v1/workflows", false, Some("workflows")),
            ("PUT /api/v1/workflows/1", false, Some("workflows")),
            ("DELETE /api/v1/executions/1", false, Some("executions")),
            ("POST /api/v1/audit", true, Some("audit")),
            ("POST /api/v1/audit/", true, Some("audit")),
            ("POST /api/v1/Audit", false, Some("Audit")),
            ("POST /api/v1/n8n-packages/export", true, Some("n8n-packages")),
            ("POST /api/v1/n8n-packages/import", false, Some("n8n-packages")),
            ("POST /api/v1/credentials/1/test", false, Some("credentials")),
            ("POST /api/v1/%77orkflows", false, Some("%77orkflows")),
            ("GET /api/v1", true, Some("")),
            ("GET /api/v1/docs", true, None),
            ("GET /api/v1/openapi.yml", true, None),
            ("POST /mcp-server/http", false, Some(MCP_SERVER)),
            ("HEAD /mcp-server/http", true, Some(MCP_SERVER)),
        ] {
            let (method, path) = line.split_once(' ').unwrap();
            let located = located(path);
            let method = method.parse().unwrap();
            assert_eq!(
                (only_reads(&located, &method), resource(&located)),
                (reads, what),
                "{line}"
            );
        }
    }

    #[test]
    fn only_what_nobody_else_is_answered_shows_a_key() {
        let key = "x-n8n-api-key: k";
        let exchanged = token_of(r#"{"iss":"n8n-token-exchange","sub":"u","jti":"j"}"#);
        let exchanged = format!("authorization: Bearer {exchanged}");
        for (line, lines, expected) in [
            ("GET /api/v1/workflows", vec![key], true),
            ("POST /api/v1/Workflows", vec![key], true),
            ("GET /api/v1/workflows", vec![], false),
            ("GET /api/v1/workflows", vec![key, "cookie: n8n-auth=ey"], false),
            ("GET /api/v1/workflows", vec![key, "authorization: Bearer b"], false),
            ("OPTIONS /api/v1/workflows", vec![key], false),
            ("GET /api/v1/docs", vec![key], false),
            ("GET /api/v1/openapi.yml", vec![key], false),
            ("GET /api/v1/nothing", vec![key], false),
            ("POST /mcp-server/http", vec!["authorization: Bearer b"], true),
            ("GET /mcp-server/http", vec!["authorization: Bearer b"], false),
            ("GET /api/v1/workflows", vec![exchanged.as_str()], false),
            ("GET /api/v1/workflows", vec![key, "authorization: Bearer k"], true),
        ] {
            let (method, path) = line.split_once(' ').unwrap();
            let method = method.parse().unwrap();
            let found = could_show_key(&located(path), &method, &headers(&lines));
            assert_eq!(found, expected, "{line} {lines:?}");
        }
        for (status, expected) in
            [(200, true), (201, true), (204, false), (304, true), (400, false), (401, false)]
        {
            assert_eq!(took_key(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
        assert!(took_key(StatusCode::FORBIDDEN) && !took_key(StatusCode::NOT_FOUND));
    }
}
