//! Answers: what n8n's tell too much, and what keeps a page that a workflow wrote from acting as the
//! editor.
//!
//! Read from n8n 2.40.7 (`n8n-core/html-sandbox.js`, `webhooks/webhook-response-headers.js`,
//! `response-helper.js`, `errors/response-errors/webhook-not-found.error.js`,
//! `webhooks/waiting-webhooks.js`, `commands/start.js`, `server.js`) and tried on it: older releases
//! lack a part of what it does itself.

mod telling;

use http::{HeaderMap, StatusCode, header};

pub use self::telling::{TELLING_LIMIT, Telling, unzipped};
use crate::{Located, Surface};

/// n8n's own sandbox for what workflows write: no `allow-same-origin`, so that a page on the editor's
/// origin can neither read its cookies nor call its API (`n8n-core/html-sandbox.js`).
pub const SANDBOX: &str = "sandbox allow-downloads allow-forms allow-modals allow-orientation-lock \
    allow-pointer-lock allow-popups allow-popups-to-escape-sandbox allow-presentation allow-scripts \
    allow-top-navigation-by-user-activation allow-top-navigation-to-custom-protocols";

/// What the editor does without, and a script in it should (its own microphone is the chat's).
pub const PERMISSIONS: &str = "camera=(), display-capture=(), geolocation=(), hid=(), midi=(), \
    payment=(), serial=(), usb=()";

/// Who had a hand in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A workflow, or whoever called it.
    Workflow,
    /// n8n's own page for a hosted chat, which keeps its session where a sandbox could not
    /// (`ChatTrigger.node.js`, `mode: hostedChat`); a workflow that is called so can write it, too.
    Chat,
    /// Whoever made a file that n8n keeps.
    File,
    /// n8n, for people: the editor's page.
    Editor,
    /// n8n, for programs.
    N8n,
}

impl Author {
    /// Who has a hand in what is answered there.
    #[must_use]
    pub fn of(located: &Located<'_>) -> Self {
        let first = located.tail.split('/').next().unwrap_or_default();
        match located.surface {
            Surface::Webhook | Surface::WebhookTest if is_chat(located.tail) => Self::Chat,
            Surface::Webhook
            | Surface::WebhookTest
            | Surface::WebhookWaiting
            | Surface::Form
            | Surface::FormTest
            | Surface::FormWaiting
            | Surface::Mcp
            | Surface::McpTest
            | Surface::Agents => Self::Workflow,
            Surface::Rest if first.eq_ignore_ascii_case("binary-data") => Self::File,
            Surface::Editor => Self::Editor,
            _ => Self::N8n,
        }
    }

    /// Whether what is answered may be anything, a page with scripts among it.
    #[must_use]
    pub fn is_stranger(self) -> bool {
        matches!(self, Self::Workflow | Self::Chat | Self::File)
    }

    /// Whether such a page can be shown in [`SANDBOX`].
    #[must_use]
    pub fn is_sandboxed(self) -> bool {
        matches!(self, Self::Workflow | Self::File)
    }
}

/// `WEBHOOK-ID/chat`, as n8n decodes it.
fn is_chat(tail: &str) -> bool {
    let mut segments = tail.split('/');
    segments.next().is_some() && segments.next() == Some("chat") && segments.next().is_none()
}

/// Whether an answer has a sandbox already.
#[must_use]
pub fn has_sandbox(headers: &HeaderMap) -> bool {
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let mut directives = policies.flat_map(|it| it.as_bytes().split(|byte| b";,".contains(byte)));
    directives.any(|directive| {
        let name = directive.trim_ascii().split(|byte| *byte == b' ').next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"sandbox"))
    })
}

/// Whether an answer says who may frame it.
#[must_use]
pub fn has_frames(headers: &HeaderMap) -> bool {
    let mut policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    headers.contains_key(header::X_FRAME_OPTIONS)
        || policies.any(|it| String::from_utf8_lossy(it.as_bytes()).contains("frame-ancestors"))
}

/// Cookies that are n8n's alone, and with which a workflow's answer could sign somebody in as
/// somebody else, or end a sign-in; by their beginnings (`auth.service.js`, `oidc.service.ee.js`,
/// `oauth-session.service.js`). Those of forms and chats workflows' own pages set.
const OWN_COOKIES: [&[u8]; 4] =
    [b"n8n-auth", b"n8n-oidc-", b"n8n-oauth-session", b"__Host-gateway-"];

/// Whether a `Set-Cookie` of a workflow's would stand for one of n8n's. Browsers send a cookie
/// without a name as its value alone, so that `=n8n-auth=x` comes back as `n8n-auth=x`.
#[must_use]
pub fn shadows(set_cookie: &[u8]) -> bool {
    let pair = set_cookie.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let pair = pair.strip_prefix(b"=").unwrap_or(pair).trim_ascii_start();
    OWN_COOKIES.iter().any(|own| pair.starts_with(own))
}

/// Whether an answer's type is `wanted`.
fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let field = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = field.and_then(|it| it.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(wanted)
}

/// Whether an answer is a page.
#[must_use]
pub fn is_page(headers: &HeaderMap) -> bool {
    is_type(headers, "text/html")
}

/// Whether an answer's body has to be read because it may tell too much, and of what.
#[must_use]
pub fn telling(
    author: Author,
    surface: Surface,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<Telling> {
    let is_error = status.is_client_error() || status.is_server_error();
    // A part could be cut anywhere, and its places are told in its head.
    if status == StatusCode::PARTIAL_CONTENT {
        return None;
    }
    if author == Author::Editor && is_page(headers) && !is_error {
        return Some(Telling::Release);
    }
    if is_error && is_page(headers) {
        return Some(Telling::ErrorPage);
    }
    if !is_error || !is_type(headers, "application/json") {
        return None;
    }
    match surface {
        Surface::Webhook | Surface::Form | Surface::Mcp if status == StatusCode::NOT_FOUND => {
            Some(Telling::Webhook)
        }
        Surface::WebhookWaiting | Surface::FormWaiting
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) =>
        {
            Some(Telling::Execution)
        }
        _ => Some(Telling::Stack),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::{Endpoints, Surfaces};

    #[test]
    fn each_answer_has_its_author() {
        let surfaces = Surfaces::new(&Endpoints::default());
        for (path, author) in [
            ("/webhook/orders", Author::Workflow),
            ("/webhook/7f3c/chat", Author::Chat),
            ("/webhook/7f3c/chat/", Author::Chat),
            ("/webhook/7f3c/chat/more", Author::Workflow),
            ("/webhook/chat", Author::Workflow),
            ("/form/a", Author::Workflow),
            ("/form/a/chat", Author::Workflow),
            ("/webhook-waiting/7", Author::Workflow),
            ("/mcp/a", Author::Workflow),
            ("/rest/binary-data?id=1", Author::File),
            ("/rest/Binary-Data/signed", Author::File),
            ("/rest/settings", Author::N8n),
            ("/signin", Author::Editor),
            ("/assets/index.js", Author::N8n),
        ] {
            let path = path.split('?').next().unwrap();
            assert_eq!(Author::of(&surfaces.locate(path, false).unwrap()), author, "{path}");
        }
    }

    #[test]
    fn a_part_of_a_page_is_not_rewritten() {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
        for (status, expected) in
            [(StatusCode::OK, Some(Telling::Release)), (StatusCode::PARTIAL_CONTENT, None)]
        {
            let found = telling(Author::Editor, Surface::Editor, status, &headers);
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn a_sandbox_is_a_directive() {
        for (policy, has) in [
            (SANDBOX, true),
            ("sandbox", true),
            ("default-src 'none'; Sandbox allow-scripts", true),
            ("frame-ancestors 'none'", false),
            ("script-src sandbox.example", false),
            ("sandboxed", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            assert_eq!(has_sandbox(&headers), has, "{policy}");
        }
        assert!(!has_sandbox(&HeaderMap::new()));
    }

    #[test]
    fn cookies_of_n8ns_are_not_a_workflows_to_set() {
        for (cookie, own) in [
            ("n8n-auth=x; Path=/", true),
            (" n8n-auth = x", true),
            ("=n8n-auth=x", true),
            ("= n8n-auth=x; Path=/", true),
            ("n8n-oidc-state=x", true),
            ("n8n-oauth-session=x", true),
            ("__Host-gateway-device=x", true),
            ("n8n-form-auth-1=x", false),
            ("n8n-chat-oauth=x", false),
            ("session=n8n-auth", false),
            ("a=b; n8n-auth=x", false),
            ("N8N-AUTH=x", false),
        ] {
            assert_eq!(shadows(cookie.as_bytes()), own, "{cookie}");
        }
    }
}
