//! Attempts: requests that try to prove who somebody is, and what n8n's answers to them mean.
//!
//! A status alone does not tell. `GET /rest/login` is 401 on every page load of a visitor, so it is
//! no attempt at all; a right password that lacks its second factor is a 401 like a wrong one, and
//! only the body tells them apart.
//!
//! Every answer was tried on a running n8n 2.40.7; the routes are those of
//! `controllers/auth.controller.js`, `password-reset.controller.js`,
//! `invitation.controller.js`, `me.controller.js`, `mfa.controller.js`, `owner.controller.js`,
//! `public-api/index.js`, `modules/mcp` and `modules/oauth-server`.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::{Located, Surface, api_key::API_KEY, session};

/// What a request tries to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Attempt {
    /// Signing in with a password.
    SignIn,
    /// Asking for a mail that resets a password.
    ForgotPassword,
    /// Showing the token of such a mail, of a changed address, or of an invitation.
    MailToken,
    /// Claiming a new n8n.
    OwnerSetup,
    /// Showing a second factor's code in order to do without it from then on.
    SecondFactor,
    /// Showing an API key.
    ApiKey,
    /// Showing a bearer token to the instance's MCP server, or to an MCP trigger.
    BearerToken,
    /// Changing a code or a token for another at the OAuth server.
    OauthToken,
}

/// What n8n made of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was right.
    Succeeded,
    /// The password, or the account: n8n does not say which.
    WrongPassword,
    /// The password is right, and the account's second factor is asked for.
    NoSecondFactor,
    /// The password is right, the code is not.
    WrongSecondFactor,
    /// n8n did not make this token.
    WrongToken,
    /// n8n does not know this key.
    WrongKey,
    /// n8n took no look: its own limit, a form that it cannot read, a fault.
    Undecided,
}

struct Row {
    attempt: Attempt,
    name: &'static str,
    surfaces: &'static [Surface],
    /// Methods and what follows the surface's first segment; none for any.
    routes: &'static [(Method, &'static str)],
    /// The field of the body that names the account.
    account: Option<&'static str>,
}

static TABLE: [Row; 8] = [
    Row {
        attempt: Attempt::SignIn,
        name: "sign_in",
        surfaces: &[Surface::SignIn],
        routes: &[(Method::POST, "login")],
        account: Some("emailOrLdapLoginId"),
    },
    Row {
        attempt: Attempt::ForgotPassword,
        name: "forgot_password",
        surfaces: &[Surface::SignIn],
        routes: &[(Method::POST, "forgot-password")],
        account: Some("email"),
    },
    Row {
        attempt: Attempt::MailToken,
        name: "mail_token",
        surfaces: &[Surface::SignIn],
        routes: &[
            (Method::GET, "resolve-password-token"),
            (Method::POST, "change-password"),
            (Method::GET, "resolve-change-email-token"),
            (Method::POST, "confirm-email-change"),
            (Method::GET, "resolve-signup-token"),
            (Method::POST, "invitations/accept"),
        ],
        account: None,
    },
    Row {
        attempt: Attempt::OwnerSetup,
        name: "owner_setup",
        surfaces: &[Surface::SignIn],
        routes: &[(Method::POST, "owner/setup")],
        account: Some("email"),
    },
    Row {
        attempt: Attempt::SecondFactor,
        name: "second_factor",
        surfaces: &[Surface::Rest],
        routes: &[(Method::POST, "mfa/disable")],
        account: None,
    },
    Row {
        attempt: Attempt::ApiKey,
        name: "api_key",
        surfaces: &[Surface::PublicApi],
        routes: &[],
        account: None,
    },
    Row {
        attempt: Attempt::BearerToken,
        name: "bearer_token",
        surfaces: &[Surface::McpServer, Surface::Mcp],
        routes: &[],
        account: None,
    },
    Row {
        attempt: Attempt::OauthToken,
        name: "oauth_token",
        surfaces: &[Surface::OauthServer],
        routes: &[(Method::POST, "mcp-oauth/token"), (Method::POST, "oauth/token")],
        account: None,
    },
];

/// n8n's answer to an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// The beginning of its body; empty where [`Attempt::needs_body`] says so.
    pub body: &'a str,
}

impl Attempt {
    /// What a request tries, if it tries anything. Without a key or a token it only asks, as every
    /// MCP client does first to learn where tokens are had.
    #[must_use]
    pub fn of(located: &Located<'_>, method: &Method, headers: &HeaderMap) -> Option<Self> {
        let row = TABLE.iter().find(|row| {
            let mut routes = row.routes.iter();
            // Express answers HEAD as it would GET.
            let asked = if method == Method::HEAD { &Method::GET } else { method };
            let here = |(of, path): &(Method, &str)| of == asked && is_at(located.tail, path);
            row.surfaces.contains(&located.surface) && (row.routes.is_empty() || routes.any(here))
        })?;
        let shown = row.attempt.key_field().is_none_or(|field| headers.contains_key(field));
        shown.then_some(row.attempt)
    }

    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The field of the request's body that names the account, if there is one.
    #[must_use]
    pub fn account_field(self) -> Option<&'static str> {
        self.row().account
    }

    /// The field of the request's head that carries a key, if one is shown.
    #[must_use]
    pub fn key_field(self) -> Option<HeaderName> {
        match self {
            Self::ApiKey => Some(API_KEY),
            Self::BearerToken => Some(header::AUTHORIZATION),
            Self::SignIn
            | Self::ForgotPassword
            | Self::MailToken
            | Self::OwnerSetup
            | Self::SecondFactor
            | Self::OauthToken => None,
        }
    }

    /// Whether n8n's answer can only be told by its body, and not by its status.
    #[must_use]
    pub fn needs_body(self, status: StatusCode) -> bool {
        match self {
            Self::SignIn => status == StatusCode::UNAUTHORIZED,
            Self::MailToken | Self::OwnerSetup | Self::OauthToken => {
                status == StatusCode::BAD_REQUEST
            }
            Self::ForgotPassword | Self::SecondFactor | Self::ApiKey | Self::BearerToken => false,
        }
    }

    /// What n8n's answer says.
    #[must_use]
    pub fn outcome(self, answer: Answered<'_>) -> Outcome {
        let Answered { status, headers, body } = answer;
        let says = |text: &str| body.contains(text);
        match (self, status.as_u16()) {
            // To what it takes for a search engine n8n answers 204 everywhere, and looks at
            // nothing; a right password comes with a session.
            (Self::SignIn, 200) if session::given(headers).is_some() => Outcome::Succeeded,
            (Self::SignIn, 401) if says("\"code\":998") => Outcome::NoSecondFactor,
            (Self::SignIn, 401) if says("Invalid mfa token") => Outcome::WrongSecondFactor,
            (Self::SignIn, 401) if says("SSO is enabled") => Outcome::Undecided,
            (Self::SignIn, 401) => Outcome::WrongPassword,
            // A name that is no address at all is a guess like any other.
            (Self::SignIn, 400) => Outcome::WrongPassword,
            (Self::MailToken, 200) => Outcome::Succeeded,
            (Self::MailToken, 404) => Outcome::WrongToken,
            (Self::MailToken, 400) if says("[\"token\"]") || says("Invalid invite URL") => {
                Outcome::WrongToken
            }
            (Self::MailToken, 400) if says("Invalid MFA token") => Outcome::WrongSecondFactor,
            (Self::OwnerSetup, 200) if session::given(headers).is_some() => Outcome::Succeeded,
            (Self::OwnerSetup, 400) if says("already setup") => Outcome::WrongToken,
            (Self::SecondFactor, 403) => Outcome::WrongSecondFactor,
            // What n8n does not have is 404 or 405 before it looks at a key.
            (Self::ApiKey | Self::BearerToken, 200..=299) => Outcome::Succeeded,
            (Self::ApiKey, 401) | (Self::BearerToken, 401 | 403) => Outcome::WrongKey,
            (Self::OauthToken, 200) => Outcome::Succeeded,
            (Self::OauthToken, 400) if says("invalid_grant") || says("invalid_client") => {
                Outcome::WrongKey
            }
            _ => Outcome::Undecided,
        }
    }
}

fn is_at(tail: &str, path: &str) -> bool {
    tail.trim_end_matches('/').eq_ignore_ascii_case(path)
}

/// First segments below `/rest` whose short GETs n8n answers to nobody without a session.
const BEHIND_SESSION: [&str; 6] =
    ["credentials", "executions", "projects", "tags", "users", "workflows"];

/// Whether 200 or 304 in answer to this request shows that n8n took the request's session for
/// good: a GET with the session's cookie, at a place that is 401 to everybody else.
///
/// Tried on a running n8n: a bad cookie is 401 there, and never 200 or 304.
#[must_use]
pub fn could_show_session(located: &Located<'_>, method: &Method, headers: &HeaderMap) -> bool {
    let place = match located.surface {
        Surface::SignIn => is_at(located.tail, "login"),
        Surface::Rest => {
            let mut segments = located.tail.split('/');
            let first = segments.next().unwrap_or_default();
            BEHIND_SESSION.contains(&first) && segments.count() <= 1
        }
        _ => false,
    };
    place && method == Method::GET && session::has_session(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Surfaces};

    fn attempt(method: &str, path: &str, field: &str) -> Option<Attempt> {
        let surfaces = Surfaces::new(&Endpoints::default());
        let located = surfaces.locate(path, false).unwrap();
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = field.split_once(": ") {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Attempt::of(&located, &method.parse().unwrap(), &headers)
    }

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.attempt as usize, at, "{}", row.name);
        }
    }

    #[test]
    fn what_tries_something_is_told_from_what_asks() {
        for (method, path, field, expected) in [
            ("POST", "/rest/login", "", Some(Attempt::SignIn)),
            ("POST", "/REST/Login/", "", Some(Attempt::SignIn)),
            ("GET", "/rest/login", "", None),
            ("HEAD", "/rest/login", "", None),
            ("POST", "/rest/logout", "", None),
            ("POST", "/rest/forgot-password", "", Some(Attempt::ForgotPassword)),
            ("GET", "/rest/resolve-signup-token", "", Some(Attempt::MailToken)),
            ("HEAD", "/rest/resolve-signup-token", "", Some(Attempt::MailToken)),
            ("POST", "/rest/invitations/accept", "", Some(Attempt::MailToken)),
            ("POST", "/rest/invitations", "", None),
            ("POST", "/rest/owner/setup", "", Some(Attempt::OwnerSetup)),
            ("POST", "/rest/mfa/disable", "", Some(Attempt::SecondFactor)),
            ("POST", "/rest/mfa/enable", "", None),
            ("GET", "/api/v1/workflows", "", None),
            ("GET", "/api/v1/workflows", "x-n8n-api-key: k", Some(Attempt::ApiKey)),
            ("POST", "/mcp-server/http", "", None),
            ("POST", "/mcp-server/http", "authorization: Bearer t", Some(Attempt::BearerToken)),
            ("POST", "/mcp/tools", "authorization: Bearer t", Some(Attempt::BearerToken)),
            ("POST", "/webhook/x", "authorization: Bearer t", None),
            ("POST", "/oauth/token", "", Some(Attempt::OauthToken)),
            ("POST", "/mcp-oauth/token", "", Some(Attempt::OauthToken)),
            ("POST", "/mcp-oauth/register", "", None),
        ] {
            assert_eq!(attempt(method, path, field), expected, "{method} {path} {field}");
        }
    }

    /// Attempt, status, whether a session comes with it, and the body as n8n 2.40.7 sends it.
    #[test]
    fn answers_are_read_as_n8n_means_them() {
        const WRONG: &str =
            r#"{"code":401,"message":"Wrong username or password. Do you have caps lock on?"}"#;
        const MFA: &str = r#"{"code":998,"message":"MFA Error"}"#;
        const CODE: &str = r#"{"code":401,"message":"Invalid mfa token or recovery code"}"#;
        const SSO: &str = r#"{"code":401,"message":"SSO is enabled, please log in with SSO"}"#;
        const SHORT: &str =
            r#"{"code":"too_small","minimum":10,"message":"Token too short","path":["token"]}"#;
        const WEAK: &str = r#"{"code":"custom","message":"Password must be 8 to 64 characters long.","path":["password"]}"#;
        const SETUP: &str = r#"{"code":400,"message":"Instance owner already setup"}"#;
        const GRANT: &str =
            r#"{"error":"invalid_grant","error_description":"Invalid refresh token"}"#;
        for (attempt, status, session, body, expected) in [
            (Attempt::SignIn, 200, true, "", Outcome::Succeeded),
            (Attempt::SignIn, 204, false, "", Outcome::Undecided),
            (Attempt::SignIn, 401, false, WRONG, Outcome::WrongPassword),
            (Attempt::SignIn, 400, false, "", Outcome::WrongPassword),
            (Attempt::SignIn, 401, false, MFA, Outcome::NoSecondFactor),
            (Attempt::SignIn, 401, false, CODE, Outcome::WrongSecondFactor),
            (Attempt::SignIn, 401, false, SSO, Outcome::Undecided),
            (Attempt::SignIn, 429, false, "", Outcome::Undecided),
            (Attempt::SignIn, 500, false, "", Outcome::Undecided),
            (Attempt::ForgotPassword, 200, false, "", Outcome::Undecided),
            (Attempt::MailToken, 404, false, "", Outcome::WrongToken),
            (Attempt::MailToken, 400, false, SHORT, Outcome::WrongToken),
            (Attempt::MailToken, 400, false, WEAK, Outcome::Undecided),
            (Attempt::MailToken, 200, true, "", Outcome::Succeeded),
            (Attempt::OwnerSetup, 400, false, SETUP, Outcome::WrongToken),
            (Attempt::OwnerSetup, 400, false, WEAK, Outcome::Undecided),
            (Attempt::SecondFactor, 403, false, "", Outcome::WrongSecondFactor),
            (Attempt::SecondFactor, 401, false, "", Outcome::Undecided),
            (Attempt::ApiKey, 401, false, "", Outcome::WrongKey),
            (Attempt::ApiKey, 404, false, "", Outcome::Undecided),
            (Attempt::ApiKey, 403, false, "", Outcome::Undecided),
            (Attempt::ApiKey, 200, false, "", Outcome::Succeeded),
            (Attempt::BearerToken, 403, false, "", Outcome::WrongKey),
            (Attempt::OauthToken, 400, false, GRANT, Outcome::WrongKey),
            (Attempt::OauthToken, 400, false, "unsupported_grant_type", Outcome::Undecided),
        ] {
            let mut headers = HeaderMap::new();
            let cookie = if session { "n8n-auth=ey; Path=/" } else { "n8n-auth=; Path=/" };
            headers.insert(header::SET_COOKIE, cookie.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let body = if attempt.needs_body(status) { body } else { "" };
            let found = attempt.outcome(Answered { status, headers: &headers, body });
            assert_eq!(found, expected, "{attempt:?} {status} {body}");
        }
    }

    #[test]
    fn a_session_shows_where_nobody_else_is_answered() {
        let shows = |path: &str, method: Method, cookie: &'static str| {
            let surfaces = Surfaces::new(&Endpoints::default());
            let located = surfaces.locate(path, false).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            could_show_session(&located, &method, &headers)
        };
        assert!(shows("/rest/login", Method::GET, "a=b; n8n-auth=ey"));
        assert!(shows("/rest/workflows/1", Method::GET, "n8n-auth=ey"));
        assert!(!shows("/rest/login", Method::GET, "a=n8n-auth=ey"));
        assert!(!shows("/rest/login", Method::POST, "n8n-auth=ey"));
        assert!(!shows("/rest/workflows", Method::OPTIONS, "n8n-auth=ey"));
        assert!(!shows("/rest/settings", Method::GET, "n8n-auth=ey"));
        assert!(!shows("/rest/workflows/1/execution-status", Method::GET, "n8n-auth=ey"));
        assert!(!shows("/webhook/login", Method::GET, "n8n-auth=ey"));
    }
}
