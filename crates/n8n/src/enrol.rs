//! What a session without a second factor needs in order to get one, and how n8n's editor is led
//! there.
//!
//! n8n can insist on a second factor only with a licence, but its editor always understands what a
//! server with one says (`auth/auth.service.js`, and tried in a browser): 401 with [`MFA_REQUIRED`],
//! together with `data.mfa.enforced` in the answer of `/rest/settings`. Without the second half it
//! goes in circles.

use http::Method;
use serde_json::{Value, json};

use crate::{Located, Surface};

/// What n8n answers, with 401, to a session that has to show a second factor first.
pub const MFA_REQUIRED: &str = r#"{"status":"error","message":"Unauthorized","mfaRequired":true}"#;

/// What n8n answers, with 401, to a session that it does not take.
pub const UNAUTHORIZED: &str = r#"{"status":"error","message":"Unauthorized"}"#;

/// The routes that n8n itself marks `allowSkipMFA` (`controllers/auth.controller.js`,
/// `controllers/mfa.controller.js`, `server.js`), and the settings, which lead the editor. A test
/// against the installed n8n reads its source again.
pub static ENROLLING: [(Method, &str); 9] = [
    (Method::GET, "login"),
    (Method::POST, "mfa/can-enable"),
    (Method::GET, "mfa/qr"),
    (Method::POST, "mfa/enable"),
    (Method::POST, "mfa/verify"),
    (Method::GET, "types/nodes.json"),
    (Method::GET, "types/credentials.json"),
    (Method::GET, "types/node-versions.json"),
    (Method::GET, "settings"),
];

/// What a session is worth at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// n8n asks for none there, or it is where somebody signs in or out.
    Nothing,
    /// It is asked for where a second factor is got, and where the editor asks who is signed in.
    Enrolling,
    /// n8n answers without one, too: its settings, triggers whose workflow asks for none.
    Optional,
    /// n8n lets nobody in without one.
    Needed,
}

/// What a session is worth at the place that is asked for.
#[must_use]
pub fn worth(located: &Located<'_>, method: &Method) -> Worth {
    if leads_editor(located, method) {
        return Worth::Optional;
    }
    match located.surface {
        Surface::SignIn | Surface::Rest if enrols(located, method) => Worth::Enrolling,
        Surface::Editor
        | Surface::Assets
        | Surface::PageAssets
        | Surface::SignIn
        | Surface::OauthCallback
        | Surface::Agents
        | Surface::Health
        | Surface::Metrics
        | Surface::Internal => Worth::Nothing,
        Surface::Webhook
        | Surface::WebhookTest
        | Surface::WebhookWaiting
        | Surface::Form
        | Surface::FormTest
        | Surface::FormWaiting
        | Surface::Mcp
        | Surface::McpTest
        | Surface::Chat => Worth::Optional,
        Surface::Rest
        | Surface::Push
        | Surface::BrowserUse
        | Surface::PublicApi
        | Surface::McpServer
        | Surface::OauthServer => Worth::Needed,
    }
}

/// Whether the place is one of [`ENROLLING`].
fn enrols(located: &Located<'_>, method: &Method) -> bool {
    // Express answers HEAD as it would GET.
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    let tail = located.tail.trim_end_matches('/');
    ENROLLING.iter().any(|(of, path)| of == asked && tail.eq_ignore_ascii_case(path))
}

/// Whether the answer tells the editor if a second factor is insisted on.
#[must_use]
pub fn leads_editor(located: &Located<'_>, method: &Method) -> bool {
    let settings = located.tail.trim_end_matches('/').eq_ignore_ascii_case("settings");
    let asked = matches!(*method, Method::GET | Method::HEAD);
    located.surface == Surface::Rest && settings && asked
}

/// The answer of `/rest/settings`, saying that a second factor is insisted on; nothing if it is not
/// what n8n answers there.
#[must_use]
pub fn insisting(settings: &[u8]) -> Option<Vec<u8>> {
    let mut settings: Value = serde_json::from_slice(settings).ok()?;
    let data = settings.get_mut("data")?.as_object_mut()?;
    data.insert("mfa".to_owned(), json!({ "enabled": true, "enforced": true }));
    serde_json::to_vec(&settings).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Surfaces};

    #[test]
    fn a_session_is_worth_what_n8n_makes_of_it() {
        let surfaces = Surfaces::new(&Endpoints::default());
        for (method, path, expected) in [
            ("GET", "/", Worth::Nothing),
            ("GET", "/workflow/1", Worth::Nothing),
            ("GET", "/assets/index.js", Worth::Nothing),
            ("POST", "/rest/login", Worth::Nothing),
            ("GET", "/REST/Login/", Worth::Enrolling),
            ("POST", "/rest/logout", Worth::Nothing),
            ("GET", "/rest/settings", Worth::Optional),
            ("HEAD", "/rest/settings", Worth::Optional),
            ("POST", "/rest/settings", Worth::Needed),
            ("GET", "/types/nodes.json", Worth::Enrolling),
            ("GET", "/rest/mfa/qr", Worth::Enrolling),
            ("POST", "/rest/mfa/qr", Worth::Needed),
            ("POST", "/rest/mfa/enable", Worth::Enrolling),
            ("POST", "/rest/mfa/disable", Worth::Needed),
            ("GET", "/rest/workflows", Worth::Needed),
            ("PATCH", "/rest/me/password", Worth::Needed),
            ("GET", "/rest/push", Worth::Needed),
            ("GET", "/api/v1/workflows", Worth::Needed),
            ("POST", "/mcp-server/http", Worth::Needed),
            ("POST", "/webhook/x", Worth::Optional),
            ("GET", "/form/x", Worth::Optional),
        ] {
            let located = surfaces.locate(path, false).unwrap();
            assert_eq!(worth(&located, &method.parse().unwrap()), expected, "{method} {path}");
        }
    }

    #[test]
    fn settings_say_that_a_second_factor_is_insisted_on() {
        let settings = br#"{"data":{"a":1,"mfa":{"enabled":true,"enforced":false},"z":[]}}"#;
        let expected = r#"{"data":{"a":1,"mfa":{"enabled":true,"enforced":true},"z":[]}}"#;
        assert_eq!(insisting(settings).unwrap(), expected.as_bytes());
        let added = r#"{"data":{"mfa":{"enabled":true,"enforced":true}}}"#;
        assert_eq!(insisting(br#"{"data":{}}"#).unwrap(), added.as_bytes());
        for other in ["", "{}", "[]", r#"{"data":[]}"#, "<html>"] {
            assert_eq!(insisting(other.as_bytes()), None, "{other}");
        }
    }
}
