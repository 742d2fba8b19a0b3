//! Where a form names an address that gets an account, or a mail that leads into one.
//!
//! Source: n8n 2.40.7 `controllers/{owner,password-reset,invitation,me,change-email}.controller.js`,
//! `public-api/v1/handlers/users/users.handler.ee.js`.

use http::{HeaderMap, Method};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Located, Surface, UnreadableForm, form};

/// A form that names addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressForm {
    /// The field with an address.
    field: &'static str,
    /// Whether it is a list of forms.
    list: bool,
    /// Whether it is sent by whoever is to have the address, with the one that they have if they keep it.
    own: bool,
}

const NEW: AddressForm = AddressForm { field: "email", list: false, own: false };
const OWN: AddressForm = AddressForm { own: true, ..NEW };
const LIST: AddressForm = AddressForm { list: true, ..NEW };

static TABLE: [(Method, Surface, &str, AddressForm); 6] = [
    (Method::POST, Surface::SignIn, "owner/setup", NEW),
    (Method::POST, Surface::SignIn, "forgot-password", NEW),
    (Method::POST, Surface::Rest, "invitations", LIST),
    (Method::PATCH, Surface::Rest, "me", OWN),
    (Method::POST, Surface::Rest, "change-email", OWN),
    (Method::POST, Surface::PublicApi, "v1/users", LIST),
];

impl AddressForm {
    /// The form that is sent there, if it names addresses.
    #[must_use]
    pub fn of(located: &Located<'_>, method: &Method) -> Option<&'static Self> {
        let tail = located.tail.trim_end_matches('/');
        let here = |(of, surface, path, _): &&(Method, Surface, &str, Self)| {
            of == method && *surface == located.surface && tail.eq_ignore_ascii_case(path)
        };
        TABLE.iter().find(here).map(|(.., form)| form)
    }

    /// Whether it is sent by whoever is to have the address: a profile names the one that they have.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// The addresses that a form names, as n8n looks them up: trimmed, in lower case. n8n refuses
    /// by itself what names none.
    ///
    /// # Errors
    ///
    /// [`UnreadableForm`] if n8n reads nothing in the form, or could read something else.
    pub fn addresses(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<Zeroizing<String>>, UnreadableForm> {
        let found = if self.list {
            let list = form::json_value(headers, body)?;
            let text = |entry: &Value| Some(entry.get(self.field)?.as_str()?.to_owned());
            list.as_array().into_iter().flatten().filter_map(text).map(Zeroizing::new).collect()
        } else {
            let found = form::texts(headers, body, &[self.field])?;
            found.into_iter().flatten().collect::<Vec<_>>()
        };
        Ok(found.iter().map(|it| Zeroizing::new(form::trimmed(it).to_lowercase())).collect())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::{Endpoints, Surfaces};

    fn addresses(
        line: &str,
        kind: &str,
        body: &str,
    ) -> Option<Result<Vec<String>, UnreadableForm>> {
        let (method, path) = line.split_once(' ')?;
        let surfaces = Surfaces::new(&Endpoints::default());
        let located = surfaces.locate(path, false).ok()?;
        let form = AddressForm::of(&located, &method.parse().ok()?)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).ok()?);
        let found = form.addresses(&headers, body.as_bytes());
        Some(found.map(|all| all.iter().map(|it| it.to_string()).collect()))
    }

    #[test]
    fn addresses_are_found_where_n8n_reads_them() {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        let found = |all: &[&str]| Some(Ok(all.iter().map(|it| (*it).to_owned()).collect()));
        for (line, kind, body, expected) in [
            ("POST /rest/owner/setup", JSON, r#"{"email":" A@b.C "}"#, found(&["a@b.c"])),
            ("POST /rest/forgot-password", FORM, "email=a%40b.c", found(&["a@b.c"])),
            ("PATCH /rest/me", FORM, "email=a%40b.c", found(&["a@b.c"])),
            ("PATCH /rest/me", JSON, r#"{"email":"a@b.c"}"#, found(&["a@b.c"])),
            ("PATCH /rest/me", JSON, r#"{"firstName":"A"}"#, found(&[])),
            ("POST /rest/change-email", JSON, r#"{"email":"a@b.c"}"#, found(&["a@b.c"])),
            (
                "POST /rest/invitations",
                JSON,
                r#"[{"email":"a@b.c","role":"x"},{"email":"D@e.f"},{"email":7}]"#,
                found(&["a@b.c", "d@e.f"]),
            ),
            ("POST /api/v1/users", JSON, r#"[{"email":"a@b.c"}]"#, found(&["a@b.c"])),
            ("POST /rest/invitations", JSON, "[", Some(Err(UnreadableForm::Syntax))),
            ("POST /rest/invitations", FORM, "email=a", Some(Err(UnreadableForm::Type))),
            ("POST /rest/login", JSON, "{}", None),
            ("GET /api/v1/users", JSON, "", None),
        ] {
            assert_eq!(addresses(line, kind, body), expected, "{line} {body}");
        }
    }
}
