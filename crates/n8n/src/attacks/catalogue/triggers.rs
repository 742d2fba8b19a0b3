//! What is tried where strangers make workflows run.

use http::Method;

use super::{
    Entry, FORMS, Kinds, Likeness, Shape, TRIGGERS, Text, WEBHOOKS, begins, contains, cve, ghsa, on,
};
use crate::{
    Surface,
    attacks::{
        BodyTest,
        text::{EXPRESSION, TRAVERSAL, is_uuid},
    },
};

/// The releases before those of 28 October 2026.
const OCTOBER: &str = "<1.123.83, 2.x <2.41.4, 2.42.0";

/// What a webhook's answer would show as it came.
const MARKUP: [&str; 1] = ["<"];

pub(super) fn entries() -> Vec<Entry> {
    let parts = [by_address(), by_body(), by_no_request()];
    parts.into_iter().flatten().collect()
}

/// What the address of a request tells.
fn by_address() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-110852",
            "A webhook with a path of its own kind is called by its template",
            OCTOBER,
            Likeness::Seldom,
        )
        .shape(on(&TRIGGERS).segment(begins(&[":"]))),
        cve(
            "CVE-2026-110846",
            "A waiting execution is resumed with the signature of another one's node",
            OCTOBER,
            Likeness::OnlyAttacks,
        )
        .shape(on(&[Surface::WebhookWaiting]).at("*").query(
            "signature",
            Text::Is("a signature with a node's id", |it| {
                it.split_once('/').is_some_and(|(_, node)| is_uuid(node))
            }),
        )),
        cve(
            "CVE-2026-42228",
            "A chat that waits is taken over by the number of its execution",
            "<1.123.32, 2.x <2.17.4, 2.18.0",
            Likeness::Often,
        )
        .shape(on(&[Surface::Chat]).has_query("executionId").no_query("token"))
        .advice("Hosted chats of these releases have no token: block this if you have none."),
        cve(
            "CVE-2026-54303",
            "A trigger's check of its address answers with markup that it was given",
            "<2.24.0",
            Likeness::OnlyAttacks,
        )
        .shape(on(&WEBHOOKS).by(Method::GET).query("hub.challenge", contains(&MARKUP)))
        .shape(on(&WEBHOOKS).by(Method::GET).query("validationToken", contains(&MARKUP)))
        .shape(on(&WEBHOOKS).by(Method::POST).query("validationToken", contains(&MARKUP))),
        ghsa(
            "GHSA-jh8h-6c9q-7gmw",
            "A chat for n8n's users answers whoever only says to be one",
            "<1.123.22, 2.x <2.9.3, 2.10.0",
            Likeness::Often,
        )
        .shape(on(&[Surface::Webhook]).by(Method::POST).at("*/chat").no_cookie("n8n-auth"))
        .advice("Block this if every chat of yours is for n8n's users."),
    ]
}

/// What the body of a request tells.
fn by_body() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-21858",
            "A form takes a file that is on n8n's own disk (Ni8mare)",
            ">=1.65.0 <1.121.0",
            Likeness::OnlyAttacks,
        )
        .shape(described_file(&FORMS))
        .shape(described_file(&WEBHOOKS)),
        cve(
            "CVE-2026-27493",
            "A form's field becomes an expression on the form's next page",
            "<1.123.22, 2.x <2.9.3, 2.10.0",
            Likeness::Seldom,
        )
        .shape(on(&FORMS).by(Method::POST).field("**.*", EXPRESSION)),
        prototype_in_json(),
        cve(
            "CVE-2026-42231",
            "An XML body changes what every object is",
            "<1.123.32, 2.x <2.17.4, 2.18.0",
            Likeness::OnlyAttacks,
        )
        .shape(prototype(&TRIGGERS, Kinds::Xml)),
        cve(
            "CVE-2026-25055",
            "A file of a form is written where its name leads",
            "<1.123.12, 2.x <2.4.0",
            Likeness::OnlyAttacks,
        )
        .shape(on(&TRIGGERS).body(BodyTest::FileName(TRAVERSAL))),
    ]
}

/// What no request tells from others.
fn by_no_request() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2025-68949",
            "A webhook's own list of addresses takes addresses that only begin alike",
            ">=1.36.0 <2.2.0",
            Likeness::OnlyAttacks,
        )
        .advice(
            "Write the networks into `access`, for the webhook's path: they are compared whole.",
        ),
        cve(
            "CVE-2026-54314",
            "A small archive that grows without end fills the memory",
            "<2.24.0",
            Likeness::Often,
        )
        .advice("Update n8n. Until then set `limits.body.webhook` to what your senders need."),
        ghsa(
            "GHSA-2x35-3fw4-9jr4",
            "A mail's text is read from n8n's own disk",
            "<1.123.67, 2.x <2.31.5, 2.32.0",
            Likeness::Often,
        )
        .advice("Update n8n. Until then make texts of what workflows put into mails: `{{ String($json.body.x) }}`."),
    ]
}

/// A file that is described instead of sent.
fn described_file(surfaces: &[Surface]) -> Shape {
    on(surfaces)
        .has_field(Kinds::NotMultipart, "files.*.filepath")
        .has_field(Kinds::NotMultipart, "files.*.*.filepath")
}

fn prototype_in_json() -> Entry {
    let mcp = [Surface::Mcp, Surface::McpTest];
    cve(
        "CVE-2026-54306",
        "A webhook's body changes what every object is",
        "<2.25.7, 2.26.x <2.26.2",
        Likeness::OnlyAttacks,
    )
    .shape(prototype(&WEBHOOKS, Kinds::All))
    .shape(prototype(&FORMS, Kinds::All))
    .shape(prototype(&mcp, Kinds::All))
}

/// A field by which JavaScript reaches the prototype of all objects.
pub(super) fn prototype(surfaces: &[Surface], kinds: Kinds) -> Shape {
    on(surfaces).has_field(kinds, "**.__proto__").has_field(kinds, "**.constructor.prototype")
}
