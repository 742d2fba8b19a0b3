//! `docs/reference/refusals.md` and `surfaces.md`, made of the tables of policy and n8n.

use std::fmt::Write;

use gateway_n8n::{Audience, Lifetime, Origin, Process, Surface};
use gateway_policy::{Cut, Jail, Level, Offence, Reason};

const REFUSALS: &str = "\
# Refusals, offences and jails

<!-- Made of the tables in crates/policy/src by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

Whoever is refused sees the text and a request id. `n8n-gateway bans why ID` and the access record with that
`request_id` say the rest. The name stands in the record's `reason`, and in the label `reason` of
`gateway_requests_refused_total`.

## Reasons

| reason | status | why | the client reads | is held against it as |
|---|---|---|---|---|
";

const FAULTS: &str = "
Where nothing was refused and n8n did not answer, the client gets 502, 503 or 504, and `reason` is a fault:
`upstream_busy`, `upstream_unreachable`, `upstream_timeout` or `upstream_broken`.
";

const CUTS: &str = "
## Cuts

Why a connection was ended although no request was refused: the label `reason` of
`gateway_connections_cut_total`, and the event `connection_cut`.

| reason | why | is held against the client as |
|---|---|---|
";

const OFFENCES: &str = "
## Offences

| offence | what | jails that count it |
|---|---|---|
";

const JAILS: &str = "
## Jails

`max_retry` offences within `find_time` are a ban of `ban_time`; see [`bans.jails`](policy.md#bansjails) for the
numbers of each. Where people work in the editor, some jails allow more: an office's slips are many people's.

| jail | why | where people are signed in | a whole IPv6 site (/48) |
|---|---|---|---|
";

const SURFACES: &str = "\
# Surfaces

<!-- Made of crates/n8n/src/surface.rs by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

What n8n serves, as the policy names it in `access`, `rate_limits` and `limits.body`. Every route of n8n and the
surface that it belongs to: [routes.golden](../../crates/n8n/tests/routes.golden).

*Open to* is the default of `access`. *Host* matters with `site.webhook_host`; *process* in queue mode. *Lasts*:
an *exchange* is limited as a whole, of a *stream* and a *tunnel* only silence is.

| surface | what it is | open to | host | process | lasts | body | such as |
|---|---|---|---|---|---|---|---|
";

/// What the comments say above the variants of an enum.
fn comments(source: &str, name: &str) -> Vec<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    for line in rest.split_once("\n}").unwrap().0.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line.ends_with(',') {
            found.push(comment.join(" "));
            comment.clear();
        }
    }
    found
}

fn offence(offence: Option<Offence>) -> String {
    offence.map_or_else(String::new, |it| format!("`{}`", it.name()))
}

fn reasons(page: &mut String) {
    let said = comments(&crate::read("crates/policy/src/reason.rs"), "Reason");
    assert_eq!(said.len(), Reason::all().len());
    for (reason, why) in Reason::all().zip(said) {
        let held =
            match (reason.offence(Some(Surface::Webhook)), reason.offence(Some(Surface::Editor))) {
                (None, Some(at_home)) => format!("`{}`, not where anyone may call", at_home.name()),
                (everywhere, _) => offence(everywhere),
            };
        let held = if reason == Reason::Attack {
            "`attack`, if no honest request looks like it".to_owned()
        } else {
            held
        };
        let (name, status, text) = (reason.name(), reason.status().as_u16(), reason.text());
        let loud = if reason.level() == Level::Warn { " (a warning in the log)" } else { "" };
        writeln!(page, "| `{name}` | {status} | {why}{loud} | {text} | {held} |").unwrap();
    }
}

#[test]
fn the_refusals_are_fresh() {
    let mut page = REFUSALS.to_owned();
    reasons(&mut page);
    page.push_str(FAULTS);
    page.push_str(CUTS);
    let said = comments(&crate::read("crates/policy/src/cut.rs"), "Cut");
    assert_eq!(said.len(), Cut::all().len());
    for (cut, why) in Cut::all().zip(said) {
        writeln!(page, "| `{}` | {why} | {} |", cut.name(), offence(cut.offence())).unwrap();
    }
    let source = crate::read("crates/policy/src/jail/offence.rs");
    page.push_str(OFFENCES);
    let said = comments(&source, "Offence");
    assert_eq!(said.len(), Offence::all().len());
    for (offence, what) in Offence::all().zip(said) {
        let jails = Jail::all().filter(|jail| offence.counts_in(*jail));
        let jails: Vec<_> = jails.map(|jail| format!("`{}`", jail.name())).collect();
        writeln!(page, "| `{}` | {what} | {} |", offence.name(), jails.join(", ")).unwrap();
    }
    page.push_str(JAILS);
    let said = comments(&source, "Jail");
    assert_eq!(said.len(), Jail::all().len());
    for (jail, why) in Jail::all().zip(said) {
        let shared = if jail.shared() > 1 {
            format!("{} × `max_retry`", jail.shared())
        } else {
            String::new()
        };
        let site = jail.site().map(|it| format!("{it} × `max_retry`")).unwrap_or_default();
        writeln!(page, "| `{}` | {why} | {shared} | {site} |", jail.name()).unwrap();
    }
    crate::is_fresh("docs/reference/refusals.md", &page);
}

#[test]
fn the_surfaces_are_fresh() {
    let mut page = SURFACES.to_owned();
    let said = comments(&crate::read("crates/n8n/src/surface.rs"), "Surface");
    assert_eq!(said.len(), Surface::all().len());
    for (surface, what) in Surface::all().zip(said) {
        let row = surface.row();
        let audience = match row.audience {
            Audience::Anyone => "anyone",
            Audience::Editors => "as `editor`",
            Audience::Nobody => "nobody",
        };
        // It has no default of its own: the policy has to say.
        let audience = if surface == Surface::Editor { "what the policy says" } else { audience };
        let host = match row.origin {
            Origin::Site => "`host`",
            Origin::Webhooks => "`webhook_host`",
            Origin::Either => "both",
        };
        let process = match row.process {
            Process::Main => "main",
            Process::Webhook => "webhook",
            Process::WebhookSticky => "webhook, the same for a client",
        };
        let lasts = match row.lifetime {
            Lifetime::Exchange => "exchange",
            Lifetime::Stream => "stream",
            Lifetime::Upgrade => "tunnel",
        };
        let body = row.bodies.limit() >> 20;
        let examples: Vec<_> = row.examples.iter().take(2).map(|it| format!("`{it}`")).collect();
        let (name, examples) = (row.name, examples.join(", "));
        writeln!(page, "| `{name}` | {what} | {audience} | {host} | {process} | {lasts} | {body} MiB | {examples} |").unwrap();
    }
    crate::is_fresh("docs/reference/surfaces.md", &page);
}

#[test]
fn what_a_locked_out_person_reads_is_what_the_gateway_says() {
    let page = crate::read("docs/help/locked-out.md");
    let (table, _) = page.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains(", \""));
    let mut count = 0;
    for row in rows {
        let text = row.split('"').nth(1).unwrap();
        let status = row.split(|it: char| !it.is_ascii_digit()).find(|it| it.len() == 3).unwrap();
        let says = |it: Reason| it.text().starts_with(text) && it.status().as_str() == status;
        assert!(Reason::all().any(says), "{row}");
        count += 1;
    }
    assert!(count >= 5, "{count} rows");
}
