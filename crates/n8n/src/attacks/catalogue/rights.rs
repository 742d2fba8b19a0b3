//! Flaws by which somebody with an account does what they may not, at paths that others use: whose
//! right it is stands in n8n's database, so that most of these requests look like honest ones.

use http::Method;

use super::{Entry, Likeness, Shape, Text, cve, ghsa, on};
use crate::{Surface, attacks::Kinds};

/// The releases before those of 16 June 2026.
const JUNE: &str = "<1.123.55, 2.x <2.25.7, 2.26.x <2.26.2";

pub(super) fn entries() -> Vec<Entry> {
    let parts = [of_credentials(), of_nodes(), of_workflows(), of_the_instance()];
    parts.into_iter().flatten().collect()
}

fn rest(route: &str) -> Shape {
    on(&[Surface::Rest]).at(route)
}

fn of_credentials() -> Vec<Entry> {
    vec![
        cve(
            "CVE-2026-54305",
            "A credential is taken over where credentials are each user's own",
            JUNE,
            Likeness::Often,
        )
        .shape(rest("workflows/*/execution-status").by(Method::GET))
        .shape(rest("credentials/*/authorize").by(Method::POST))
        .shape(rest("credentials/*/revoke").by(Method::DELETE))
        .advice("Block this if you have no dynamic credentials."),
        cve(
            "CVE-2026-45732",
            "A credential that is only shared is connected to another account",
            "<1.123.43, 2.x <2.20.7, 2.21.0",
            Likeness::Often,
        )
        .shape(rest("oauth1-credential/auth").by(Method::GET))
        .shape(rest("oauth2-credential/auth").by(Method::GET))
        .advice("Block this while nobody has to connect a credential."),
        cve(
            "CVE-2026-86993",
            "A destination of n8n's log is given a credential of somebody else's",
            "<1.123.76, 2.x <2.37.7, 2.38.x <2.38.2",
            Likeness::Often,
        )
        .shape(
            rest("eventbus/destination").by(Method::POST).has_field(Kinds::All, "credentials.*.id"),
        )
        .advice("Block this if n8n's log goes nowhere with a credential."),
    ]
}

fn of_nodes() -> Vec<Entry> {
    let dynamic = || rest("dynamic-node-parameters/**");
    vec![
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
        // CVE-2026-65593. A node's own addresses are paths below its service's, save one node's.
        ghsa(
            "GHSA-9w78-79q7-r4fp",
            "A node's parameters are asked for at any address, from n8n's own network",
            "<1.123.64, 2.x <2.29.8, 2.30.0",
            Likeness::Seldom,
        )
        .shape(
            dynamic()
                .by(Method::POST)
                .field("loadOptions.routing.request.url", elsewhere())
                .field("loadOptions.routing.request.baseURL", elsewhere()),
        )
        .advice("`N8N_SSRF_PROTECTION_ENABLED=true` keeps n8n from its own network."),
    ]
}

fn of_workflows() -> Vec<Entry> {
    let api = |route| on(&[Surface::PublicApi]).at(route);
    vec![
        cve(
            "CVE-2025-52554",
            "An execution is stopped by whoever has no part in it",
            "<1.99.1",
            Likeness::Often,
        )
        .shape(rest("executions/*/stop").by(Method::POST)),
        ghsa(
            "GHSA-h3jj-5f3v-3685",
            "Whoever may only read a workflow makes it run again",
            "<2.25.7, 2.26.x <2.26.2",
            Likeness::Often,
        )
        .shape(api("v1/executions/*/retry").by(Method::POST)),
        ghsa(
            "GHSA-hv7x-3x78-gx53",
            "Whoever may only read a workflow makes it run as an evaluation",
            JUNE,
            Likeness::Often,
        )
        .shape(rest("workflows/*/test-runs/new").by(Method::POST))
        .advice("Block this if you have no evaluations."),
        ghsa(
            "GHSA-664h-gpgq-h6xx",
            "Whoever may only read a workflow starts, ends and deletes its evaluations",
            JUNE,
            Likeness::Often,
        )
        .shape(rest("workflows/*/test-runs/new").by(Method::POST))
        .shape(rest("workflows/*/test-runs/*/cancel").by(Method::POST))
        .shape(rest("workflows/*/test-runs/*").by(Method::DELETE))
        .advice("Block this if you have no evaluations."),
        cve(
            "CVE-2026-59253",
            "A workflow is put into a folder of another project",
            "<2.28.0",
            Likeness::Often,
        )
        .shape(rest("workflows").by(Method::POST).has_field(Kinds::All, "parentFolderId"))
        .advice("Block this if you have no folders."),
    ]
}

fn of_the_instance() -> Vec<Entry> {
    let api = |route| on(&[Surface::PublicApi]).at(route);
    vec![
        cve(
            "CVE-2026-42227",
            "An API key reads the variables of any project",
            "<1.123.32, 2.x <2.17.4, 2.18.0",
            Likeness::Often,
        )
        .shape(api("v1/variables").has_query("projectId")),
        // A role that is deleted can be exchanged for another one, by whatever the release calls it.
        cve(
            "CVE-2026-77079",
            "Whoever had a role that is deleted becomes a project's administrator",
            "<2.33.4, 2.34.x <2.34.1",
            Likeness::Often,
        )
        .shape(rest("roles/*").by(Method::DELETE))
        .advice("Block this if you have no roles of your own."),
        ghsa(
            "GHSA-jmmj-93rg-6j39",
            "Figures of another project are read",
            "<2.35.4",
            Likeness::Often,
        )
        .shape(rest("insights/**").by(Method::GET).has_query("projectId")),
    ]
}

/// An address of its own, not a path of the service that a node is for.
fn elsewhere() -> Text {
    Text::Is("an address of its own", |it| {
        let it = it.trim_start_matches(['=', ' ']).trim();
        it.contains("://") || it.starts_with("//") || it.starts_with("\\\\")
    })
}
