//! What is tried where people and programs prove who they are.

use http::Method;

use super::{Entry, Likeness, Text, cve, family, ghsa, on};
use crate::Surface;

/// Where features stand that are licensed and off unless somebody turned them on.
const TOKEN_EXCHANGE: &str = "auth/**";

pub(super) fn entries() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-33720",
            "A credential is granted to whoever has no session",
            "<2.8.0",
            Likeness::Seldom,
        )
        .shape(on(&[Surface::OauthCallback]).no_cookie("n8n-auth"))
        .advice("Only with `N8N_SKIP_AUTH_ON_OAUTH_CALLBACK=true`: set it to `false`."),
        cve(
            "CVE-2025-49592",
            "The page to sign in with leads to another site",
            "<1.98.0",
            Likeness::OnlyAttacks,
        )
        .shape(on(&[Surface::Editor]).at("signin").query("redirect", elsewhere())),
        cve(
            "CVE-2026-86084",
            "Signing in over OIDC works although it is turned off",
            "<1.123.76, 2.x <2.37.7, 2.38.x <2.38.2",
            Likeness::Often,
        )
        .shape(on(&[Surface::SignIn]).at("sso/oidc/**"))
        .advice("Block this if nobody signs in over OIDC."),
        cve(
            "CVE-2026-59208",
            "An account is taken over by an exchange of tokens",
            "<2.27.4, 2.28.0",
            Likeness::Seldom,
        )
        .shape(on(&[Surface::SignIn]).at(TOKEN_EXCHANGE)),
        ghsa(
            "GHSA-8342-988q-86cr",
            "An account is taken over by a sign-in that is embedded elsewhere",
            "<2.31.5, 2.32.0",
            Likeness::Seldom,
        )
        .shape(on(&[Surface::SignIn]).at(TOKEN_EXCHANGE)),
        family(
            "old-invitation",
            "An invitation is accepted in the way of n8n 2.9 and before",
            "https://github.com/github/advisory-database/pull/7110",
            Likeness::Often,
        )
        .shape(on(&[Surface::Rest, Surface::SignIn]).by(Method::POST).at("invitations/*/accept"))
        .advice("Since n8n 2.10 nobody honest asks there: block it."),
    ]
}

/// Where a browser would be sent that is no path of the same site.
fn elsewhere() -> Text {
    Text::Is("an address of another site", |it| {
        // n8n's page decodes it once more.
        let decoded = crate::attacks::head::decoded(it);
        let lower = decoded.trim().to_ascii_lowercase();
        let out = ["//", "/\\", "\\", "javascript:", "data:", "/\t", "/\n", "/\r"];
        out.iter().any(|start| lower.starts_with(start))
    })
}
