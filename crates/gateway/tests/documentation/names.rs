//! `docs/reference/metrics.md` and `log.md`, made of the sources in which names, events and records
//! stand: their comments are the documentation.

use std::{collections::BTreeMap, fmt::Write, fs};

const METRICS: &str = "\
# Metrics

<!-- Made of crates/telemetry/src/names.rs by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

At `/metrics` of the operator's listener (`listen.admin`), in Prometheus's text format. Labels are bounded: no
address, account or path is one. What the standard collector tells of the process (`process_…`) comes besides.

| metric | | what it tells |
|---|---|---|
";

const LOG: &str = "\
# Log

<!-- Made of crates/telemetry/src by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

One line an event, on standard output; JSON, or text with `log: { format: text }`. Every line has `timestamp`,
`level` and `event`; the other fields are the event's own. Secrets are not in it: paths of webhooks, tokens,
signatures and codes are redacted, and accounts are told by a keyed hash.

`level` in the policy (`log.level`) leaves out what is less loud. A line is never waited for: if nobody reads fast
enough, lines are dropped and counted (`gateway_log_lines_dropped_total`).
";

/// A comment and what it stands above.
struct Item {
    comment: String,
    line: String,
}

/// Every item of a source that has a comment of its own; a statement may take several lines.
fn items(source: &str) -> Vec<Item> {
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line.starts_with("#[") {
            // What follows is what the comment is about.
        } else {
            let mut whole = line.to_owned();
            while whole.starts_with("pub const") && !whole.ends_with(';') {
                whole.push_str(&lines.next().unwrap().replace("\\", ""));
            }
            if !comment.is_empty() {
                found.push(Item { comment: comment.join(" "), line: whole });
            }
            comment.clear();
        }
    }
    found
}

/// The strings in a line of Rust.
fn strings(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The part of a source between a line and the next that closes it at the margin.
fn module<'s>(source: &'s str, begin: &str) -> &'s str {
    let (_, rest) = source.split_once(begin).unwrap_or_else(|| panic!("{begin}"));
    rest.split_once("\n}").unwrap().0
}

#[test]
fn the_metrics_are_fresh() {
    let source = crate::read("crates/telemetry/src/names.rs");
    let mut page = METRICS.to_owned();
    let mut count = 0;
    for Item { comment, line } in items(module(&source, "pub mod metric {")) {
        let [name, help] = &*strings(&line) else { continue };
        let (kind, labels) = comment.split_once(" by ").unwrap_or((&comment, ""));
        let kind = kind.trim_end_matches('.').to_lowercase();
        assert!(["counter", "gauge", "histogram"].contains(&kind.as_str()), "{name}: {kind}");
        let labels: Vec<_> =
            labels.trim_end_matches('.').split(", ").filter(|it| !it.is_empty()).collect();
        let labels = labels.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        let by = if labels.is_empty() { kind } else { format!("{kind} by {labels}") };
        writeln!(page, "| `{name}` | {by} | {help} |").unwrap();
        count += 1;
    }
    assert!(count > 30, "{count} metrics were found");
    page.push_str("\n## Labels\n\n| label | |\n|---|---|\n");
    for Item { comment, line } in items(module(&source, "pub mod label {")) {
        if let [label] = &*strings(&line)
            && !line.contains("NO_SURFACE")
        {
            writeln!(page, "| `{label}` | {comment} |").unwrap();
        }
    }
    crate::is_fresh("docs/reference/metrics.md", &page);
}

/// What a struct's fields say, by the struct's name.
fn structs(source: &str) -> BTreeMap<String, (String, Vec<(String, String)>)> {
    let mut found = BTreeMap::new();
    let mut open: Option<String> = None;
    for Item { comment, line } in items(source) {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.split(|it: char| !it.is_alphanumeric()).next().unwrap();
            found.insert(name.to_owned(), (comment, Vec::new()));
            open = Some(name.to_owned());
        } else if let (Some(field), Some(name)) = (line.strip_prefix("pub "), &open)
            && line.ends_with(',')
            && let Some((field, _)) = field.split_once(':')
        {
            found.get_mut(name).unwrap().1.push((field.to_owned(), comment));
        }
    }
    found
}

fn table(fields: &[(String, String)]) -> String {
    let rows = fields.iter().map(|(field, comment)| format!("| `{field}` | {comment} |\n"));
    format!("| field | |\n|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_log_is_fresh() {
    let mut sources = vec![crate::root().join("crates/telemetry/src/event.rs")];
    let folder = fs::read_dir(crate::root().join("crates/telemetry/src/event")).unwrap();
    sources.extend(folder.map(|it| it.unwrap().path()));
    sources.sort();
    let names = crate::read("crates/telemetry/src/names.rs");
    let names: BTreeMap<String, (String, String)> = items(module(&names, "pub mod event {"))
        .into_iter()
        .filter_map(|it| {
            let constant = it.line.strip_prefix("pub const ")?.split(':').next()?.to_owned();
            Some((constant, (strings(&it.line).pop()?, it.comment)))
        })
        .collect();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        let source = fs::read_to_string(source).unwrap();
        let structs = structs(&source);
        for implementation in source.split("\nimpl").skip(1) {
            let (Some((head, _)), Some((_, name))) =
                (implementation.split_once(" {"), implementation.split_once("= event::"))
            else {
                continue;
            };
            let Some((_, made_of)) = head.split_once("Event for ") else { continue };
            let made_of = made_of.split('<').next().unwrap();
            let (event, comment) = &names[name.split(';').next().unwrap()];
            let (_, fields) = &structs[made_of];
            let fields =
                if fields.is_empty() { String::new() } else { format!("\n{}", table(fields)) };
            told.insert(event.clone(), format!("\n### `{event}`\n\n{comment}\n{fields}"));
        }
    }
    let mut page = LOG.to_owned();
    let record = structs(&crate::read("crates/telemetry/src/record.rs"));
    let (_, fields) = &record["AccessRecord"];
    assert!(fields.len() > 10);
    write!(page, "\n## `access`\n\nThe record of one request, written when both its bodies have ended.\n\n{}", table(fields)).unwrap();
    page.push_str("\n## Events\n");
    for (event, _) in names.values().filter(|(event, _)| event != "access") {
        page.push_str(told.get(event).unwrap_or_else(|| panic!("{event} has no struct")));
    }
    crate::is_fresh("docs/reference/log.md", &page);
}

#[test]
fn metrics_and_events_that_pages_name_are_there() {
    let known = crate::read("docs/reference/metrics.md") + &crate::read("docs/reference/log.md");
    let mut count = 0;
    for page in crate::pages() {
        let text = crate::read(&page);
        for word in text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_')) {
            // A crate's name is no metric's.
            if word.starts_with("gateway_") && word.matches('_').count() > 1 {
                let name =
                    ["_bucket", "_sum", "_count"].iter().find_map(|it| word.strip_suffix(it));
                let there = [Some(word), name]
                    .into_iter()
                    .flatten()
                    .any(|it| known.contains(&format!("`{it}`")));
                assert!(there, "{page}: {word} is no metric");
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count}");
    let incident = crate::read("docs/help/incident.md");
    for event in
        ["password_leaked", "sign_in_succeeded", "session_moved", "api_key_new_network", "panicked"]
    {
        assert!(incident.contains(event) && known.contains(&format!("### `{event}`")), "{event}");
    }
}
