//! The operator's page: one page, its script and its style, all of them in the program. It shows what
//! `/overview` says, and does what the commands do.
//!
//! What it shows is from strangers. Nothing here puts text into markup but by [`escaped`], and the
//! script puts it into text alone; should either fail, the policy of content runs no other script,
//! loads nothing from elsewhere and sends nothing there.

mod pass;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use zeroize::Zeroizing;

pub(crate) use self::pass::Passes;
use super::{Desk, browser, text, typed};
use crate::{audit::escaped, cli::described, control::Order};

/// What the page is made of, by its path; none of it is secret.
const PARTS: [(&str, &str, &str); 5] = [
    ("/ui/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/ui/dom.js", JAVASCRIPT, include_str!("page/dom.js")),
    ("/ui/views.js", JAVASCRIPT, include_str!("page/views.js")),
    ("/ui/page.js", JAVASCRIPT, include_str!("page/page.js")),
    ("/ui/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The page, with `{status}` for whoever runs no scripts.
const PAGE: &str = include_str!("page/page.html");

/// Where the token is given, with `{notice}`.
const SIGN_IN: &str = include_str!("page/sign-in.html");

/// What every answer of the listener says to browsers. Source: CSP Level 3, Fetch.
const STRICT: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` a browser would not say that a form is our own (`Origin: null`).
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// A form with a token is no longer, in bytes.
const LONGEST_FORM: usize = 4 << 10;

/// How long whoever gives a wrong token waits for the answer.
const WRONG_TOKEN: Duration = Duration::from_secs(1);

/// Says to browsers what they may make of an answer.
pub(super) fn restrict(headers: &mut HeaderMap) {
    for (name, value) in STRICT {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A part of the page that needs no token.
pub(super) fn part(path: &str) -> Option<Response<Full<Bytes>>> {
    let (_, kind, text) = PARTS.iter().find(|(name, ..)| *name == path)?;
    Some(typed(StatusCode::OK, *text, kind))
}

/// Whether somebody would rather read a page than be told which paths there are.
pub(super) fn wants_page<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let reads = *request.method() == Method::GET && request.uri().path() == "/";
    reads && accepted.is_some_and(|it| it.contains("text/html"))
}

/// The form for the token.
pub(super) fn sign_in_form(headers: &HeaderMap, wrong: bool) -> Response<Full<Bytes>> {
    let local = browser::is_loopback(browser::host(headers));
    let way = if local {
        "This page is not encrypted. On this machine, or through SSH, nobody else reads it."
    } else {
        "This page is not encrypted: whoever is on the way reads the token. Use SSH or a VPN."
    };
    let class = if local { "quiet" } else { "warning" };
    let complaint = match wrong {
        true => "<p class=\"warning\" role=\"alert\">That is not the token of this gateway.</p>",
        false => "",
    };
    let notice = format!("{complaint}<p class=\"{class}\">{way}</p>");
    let status = if wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
    typed(status, SIGN_IN.replace("{notice}", &notice), HTML)
}

impl Desk {
    /// The page itself. Without scripts it says what `n8n-gateway status` does.
    pub(super) async fn page(&self, signed_in: bool) -> Response<Full<Bytes>> {
        let Some(status) = self.ask(Order::Status).await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        };
        let status = described(&status, self.guard.now().0);
        let status = status.lines().map(escaped).collect::<Vec<_>>().join("\n");
        // Who came through a socket, or has no token to give, cannot sign out.
        let sign_out = if signed_in { "" } else { " hidden" };
        let page = PAGE.replace("{sign-out}", sign_out).replace("{status}", &status);
        typed(StatusCode::OK, page, HTML)
    }

    /// Takes the token, once, and gives a cookie for it.
    pub(super) async fn sign_in(
        &self,
        request: Request<Incoming>,
        who: &str,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LONGEST_FORM);
        #[expect(clippy::disallowed_methods, reason = "limited in the line above")]
        let Ok(form) = body.collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "no form with a token\n");
        };
        let form = Zeroizing::new(form.to_bytes().to_vec());
        let mut fields = form_urlencoded::parse(&form);
        let given = fields.find(|(name, _)| name == "token").map(|(_, it)| it.into_owned());
        let given = Zeroizing::new(given.unwrap_or_default());
        if !self.is_token(given.trim().as_bytes()) {
            tracing::warn!(who, "admin: somebody gave a wrong token to the page");
            sleep(WRONG_TOKEN).await;
            return sign_in_form(&head.headers, true);
        }
        to_page(self.passes.give())
    }

    /// Ends what [`Self::sign_in`] began.
    pub(super) fn sign_out(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        to_page(self.passes.take_back(headers))
    }

    /// Compared by their hashes, so that the time it takes tells nothing of the token.
    pub(super) fn is_token(&self, given: &[u8]) -> bool {
        let Some(token) = &self.token else { return true };
        Sha256::digest(given) == Sha256::digest(token.expose())
    }
}

/// Leads to the page, with a cookie.
fn to_page(cookie: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let Some(cookie) = cookie else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the machine gives no random numbers\n");
    };
    let mut response = text(StatusCode::SEE_OTHER, "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests;
