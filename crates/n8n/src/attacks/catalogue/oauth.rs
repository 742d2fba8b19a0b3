//! What is tried at the OAuth server, which answers strangers even while MCP is off.

use http::Method;

use super::{Entry, Likeness, Shape, Text, contains, cve, on};
use crate::{Surface, attacks::BodyTest};

/// More than any client says of itself, in bytes.
const REGISTRATION: usize = 8 * 1024;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-110843",
            "Addresses that stand for clients fill the database",
            "<1.123.83, 2.x <2.41.4, 2.42.0",
            Likeness::Seldom,
        )
        .shape(authorize("mcp-oauth"))
        .shape(authorize("oauth")),
        too_much("CVE-2026-86075", "A client with long names fills the database", "<2.37.7, 2.38.x <2.38.2"),
        too_much(
            "CVE-2026-42236",
            "A client with long names fills the memory",
            "<1.123.32, 2.x <2.17.4, 2.18.0",
        ),
        registration(
            cve(
                "CVE-2026-42235",
                "A client's name is shown as markup to whoever is asked about it",
                "<1.123.32, 2.x <2.17.4, 2.18.0",
                Likeness::OnlyAttacks,
            ),
            |shape| {
                let markup = || contains(&["<", ">", "javascript:"]);
                shape.field("client_name", markup()).field("client_uri", markup()).field("logo_uri", markup())
            },
        ),
        registration(
            cve(
                "CVE-2026-42230",
                "Whoever refuses a client is sent where it likes",
                "<1.123.32, 2.x <2.17.4, 2.18.0",
                Likeness::Seldom,
            ),
            |shape| shape.field("redirect_uris.*", Text::Is("no address of a program", is_no_callback)),
        )
        .advice("Addresses over HTTPS of strangers look like those of programs: close `oauth-server` if you need no MCP."),
    ]
}

/// A shape at both of the places where clients are registered.
fn registration(entry: Entry, of: impl Fn(Shape) -> Shape) -> Entry {
    let register = |route| of(on(&[Surface::OauthServer]).by(Method::POST).at(route));
    entry.shape(register("mcp-oauth/register/**")).shape(register("oauth/register/**"))
}

fn too_much(id: &'static str, title: &'static str, affected: &str) -> Entry {
    registration(cve(id, title, affected, Likeness::OnlyAttacks), |shape| {
        shape
            .body(BodyTest::Larger(REGISTRATION))
            .field("client_name", Text::Longer(512))
            .field("grant_types.*", Text::Longer(128))
    })
}

/// A client that is named by an address with a query, each another one.
fn authorize(root: &'static str) -> Shape {
    let url = Text::Is("an address with a query", |it| {
        it.starts_with("http") && it.contains("://") && it.contains('?')
    });
    on(&[Surface::OauthServer]).at(&format!("{root}/authorize")).query("client_id", url)
}

/// Whether no program waits there: in clear and not on its user's own machine, or a script.
fn is_no_callback(uri: &str) -> bool {
    let lower = uri.trim().to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("http://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let name = if host.starts_with('[') {
            host.split(']').next().unwrap_or_default()
        } else {
            host.split(':').next().unwrap_or_default()
        };
        return !matches!(name, "localhost" | "127.0.0.1" | "[::1");
    }
    ["javascript:", "data:", "vbscript:"].iter().any(|it| lower.starts_with(it))
}
