//! What is tried by somebody with an account, or in the name of one.

use http::Method;

use super::{API, Entry, Kinds, Likeness, Shape, Text, begins, contains, cve, ghsa, on, one_of};
use crate::Surface;

/// What browsers run if n8n shows it.
const ACTIVE: [&str; 5] = ["text/html", "svg", "xml", "javascript", "application/xhtml"];

pub(super) fn entries() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-119408",
            "Nodes that n8n has given up run code outside of its sandbox",
            "<2.42.6, 2.43.x <2.43.3, 3.0.0",
            Likeness::Seldom,
        )
        .shape(nodes(one_of(&[
            "n8n-nodes-base.function",
            "n8n-nodes-base.functionItem",
            "@n8n/n8n-nodes-langchain.code",
        ])))
        .advice(
            "Workflows with these nodes cannot be saved until n8n is updated, or `attacks: { entries: \
             { CVE-2026-119408: report } }` says so. `NODES_EXCLUDE` takes them out of n8n itself.",
        )
        .told(
            "A node of this workflow runs code outside of the sandbox of this n8n (CVE-2026-119408: \
             Function, Function Item, LangChain Code). Use the Code node, or update n8n. Whoever runs \
             the gateway can let it pass: attacks: { entries: { CVE-2026-119408: report } }.",
        ),
        cve(
            "CVE-2026-65014",
            "A test of a webhook is ended by whoever has no session",
            "<2.27.4",
            Likeness::Seldom,
        )
        .shape(on(&[Surface::Rest]).by(Method::DELETE).at("test-webhook/*").no_cookie("n8n-auth")),
        cve(
            "CVE-2025-46343",
            "A workflow's file is shown as a page of n8n's own",
            "<1.90.0",
            Likeness::Seldom,
        )
        .shape(on(&[Surface::Rest]).at("binary-data").query("mimeType", contains(&ACTIVE))),
        cve(
            "CVE-2025-49595",
            "A file without a name keeps n8n busy until it falls",
            "<1.99.0",
            Likeness::OnlyAttacks,
        )
        .shape(on(&[Surface::Rest]).at("binary-data").query(
            "id",
            Text::Is("an id without a name", |id| {
                id.split_once(':').is_some_and(|(_, path)| path.trim_matches('/').is_empty())
            }),
        )),
        cve(
            "CVE-2026-21893",
            "A community package's name is run as a command",
            ">=0.187.0 <1.120.3",
            Likeness::OnlyAttacks,
        )
        .shape(
            package().by(Method::POST).field("name", no_package()).field("version", no_package()),
        )
        .shape(
            package().by(Method::PATCH).field("name", no_package()).field("version", no_package()),
        )
        .shape(package().by(Method::DELETE).query("name", no_package()))
        .advice("`rest/community-packages: nobody` in `access` closes it altogether."),
        // CVE-2026-77068.
        ghsa(
            "GHSA-6h4x-896x-fw5m",
            "A node's type leads to another file",
            "<2.33.4, 2.34.x <2.34.1",
            Likeness::OnlyAttacks,
        )
        .shape(nodes(Text::Is("a type that is a path", |it| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b"@_./-".contains(&b);
            it.contains("..") || it.starts_with('/') || !it.bytes().all(known)
        }))),
        // Nobody has told which releases it is about.
        node_called_prototype("CVE-2026-110848", ""),
        node_called_prototype("CVE-2026-86078", "<2.37.7, 2.38.x <2.38.2"),
    ]
}

/// A workflow with a node of such a type, wherever workflows are written: the workflow itself, one
/// that is run, imported, or stands in another one's node.
pub(super) fn nodes(kind: Text) -> Shape {
    on(&API).field("**.nodes.*.type", kind)
}

fn node_called_prototype(id: &'static str, affected: &str) -> Entry {
    let names = ["__proto__", "constructor", "prototype"];
    cve(id, "A node's name changes what every object is", affected, Likeness::OnlyAttacks).shape(
        on(&API)
            .field("**.nodes.*.name", one_of(&names))
            .has_field(Kinds::All, "**.connections.__proto__"),
    )
}

fn package() -> Shape {
    on(&[Surface::Rest]).at("community-packages")
}

/// What npm takes for no name and no version.
fn no_package() -> Text {
    Text::Is("no name of a package", |it| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"@/._~^+-".contains(&b);
        let flag = begins(&["-"]).holds(it);
        flag || it.contains("..") || !it.trim().bytes().all(known)
    })
}
