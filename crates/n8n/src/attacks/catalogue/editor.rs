//! What is tried by somebody with an account, or in the name of one.

use http::Method;

use super::{API, Entry, Kinds, Likeness, Shape, Text, begins, contains, cve, ghsa, on, one_of};
use crate::Surface;

/// What browsers run if n8n shows it.
const ACTIVE: [&str; 5] = ["text/html", "svg", "xml", "javascript", "application/xhtml"];

pub(super) fn entries() -> Vec<Entry> {
    let mut all = vec![
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
        .advice("`NODES_EXCLUDE` takes the same nodes out of n8n itself."),
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
            "",
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
        ghsa(
            "GHSA-6h4x-896x-fw5m",
            "A node's type leads to another file",
            "",
            Likeness::OnlyAttacks,
        )
        .shape(nodes(Text::Is("a type that is a path", |it| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b"@_./-".contains(&b);
            it.contains("..") || it.starts_with('/') || !it.bytes().all(known)
        }))),
        node_called_prototype("CVE-2026-110848"),
        node_called_prototype("CVE-2026-86078"),
    ];
    all.extend(by_path());
    all
}

/// Flaws by which somebody with an account does what they may not, at paths that others use.
fn by_path() -> Vec<Entry> {
    let dynamic = || on(&[Surface::Rest]).at("dynamic-node-parameters/**");
    let api = |route| on(&[Surface::PublicApi]).at(route);
    vec![
        cve(
            "CVE-2025-52554",
            "An execution is stopped by whoever has no part in it",
            "<1.99.1",
            Likeness::Often,
        )
        .shape(on(&[Surface::Rest]).by(Method::POST).at("executions/*/stop")),
        cve(
            "CVE-2026-42226",
            "A credential of somebody else's is used through a node's parameters",
            "<1.123.33, 2.x <2.17.5",
            Likeness::Often,
        )
        .shape(dynamic()),
        cve(
            "CVE-2026-56348",
            "A node's parameters are asked for without a right to them",
            "<2.20.0",
            Likeness::Often,
        )
        .shape(dynamic()),
        cve(
            "CVE-2026-42227",
            "An API key reads the variables of any project",
            "<1.123.32, 2.x <2.17.4, 2.18.0",
            Likeness::Often,
        )
        .shape(api("v1/variables").has_query("projectId")),
        ghsa(
            "GHSA-h3jj-5f3v-3685",
            "Whoever may only read a workflow makes it run again",
            "<2.25.7, 2.26.x <2.26.2",
            Likeness::Often,
        )
        .shape(api("v1/executions/*/retry").by(Method::POST)),
    ]
}

/// A workflow with a node of such a type, wherever workflows are written: the workflow itself, one
/// that is run, imported, or stands in another one's node.
pub(super) fn nodes(kind: Text) -> Shape {
    on(&API).field("**.nodes.*.type", kind)
}

fn node_called_prototype(id: &'static str) -> Entry {
    let names = ["__proto__", "constructor", "prototype"];
    cve(id, "A node's name changes what every object is", "", Likeness::OnlyAttacks).shape(
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
