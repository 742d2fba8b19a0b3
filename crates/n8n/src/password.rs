//! Where a password is set, and what else the form says of whose it is.
//!
//! Every place that calls `passwordUtility.hash` in n8n 2.40.7, but for tests and single sign-on.

use http::Method;

use crate::{Located, Surface};

/// The longest password that n8n takes (`schemas/password.schema.js`), in characters.
pub const LONGEST_PASSWORD: usize = 64;

/// A form that sets a password.
#[derive(Debug, PartialEq, Eq)]
pub struct PasswordForm {
    /// The field with the new password.
    pub field: &'static str,
    /// Fields that say whose it is: what stands there is guessed first.
    pub hints: &'static [&'static str],
}

const fn form(field: &'static str, hints: &'static [&'static str]) -> PasswordForm {
    PasswordForm { field, hints }
}

static TABLE: [(Method, Surface, &str, PasswordForm); 4] = [
    (
        Method::POST,
        Surface::SignIn,
        "owner/setup",
        form("password", &["email", "firstName", "lastName"]),
    ),
    (
        Method::POST,
        Surface::SignIn,
        "invitations/accept",
        form("password", &["firstName", "lastName"]),
    ),
    (Method::POST, Surface::SignIn, "change-password", form("password", &[])),
    (Method::PATCH, Surface::Rest, "me/password", form("newPassword", &["currentPassword"])),
];

impl PasswordForm {
    /// The form that is sent there, if it sets a password.
    #[must_use]
    pub fn of(located: &Located<'_>, method: &Method) -> Option<&'static Self> {
        let tail = located.tail.trim_end_matches('/');
        let here = |(of, surface, path, _): &&(Method, Surface, &str, Self)| {
            of == method && *surface == located.surface && tail.eq_ignore_ascii_case(path)
        };
        TABLE.iter().find(here).map(|(.., form)| form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Surfaces};

    #[test]
    fn a_password_is_set_where_n8n_sets_one() {
        let surfaces = Surfaces::new(&Endpoints::default());
        for (method, path, field) in [
            ("POST", "/rest/owner/setup", Some("password")),
            ("POST", "/Rest/Owner/Setup/", Some("password")),
            ("POST", "/rest/invitations/accept", Some("password")),
            ("POST", "/rest/change-password", Some("password")),
            ("PATCH", "/rest/me/password", Some("newPassword")),
            ("POST", "/rest/me/password", None),
            ("POST", "/rest/login", None),
            ("PATCH", "/rest/me", None),
            ("POST", "/webhook/change-password", None),
        ] {
            let located = surfaces.locate(path, false).unwrap();
            let form = PasswordForm::of(&located, &method.parse().unwrap());
            assert_eq!(form.map(|it| it.field), field, "{method} {path}");
        }
    }
}
