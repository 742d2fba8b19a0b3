//! What was found, for a person at a terminal and for machines.

use gateway_n8n::audit::{Check, Finding, Level, Report};
use serde_json::{Map, Value, json};

/// The host, and when it was looked at in seconds since 1970.
pub(super) type About<'a> = (&'a str, i64);

/// The width of a terminal that nobody has widened.
const WIDTH: usize = 80;

/// A table that fits a terminal, then the details.
pub(crate) fn table(report: &Report, (host, now): About<'_>) -> String {
    let Report { findings, accepted, fine, unknown } = report;
    let sum = format!(
        "{}; {} checks are fine, {} could not be made",
        counts(report),
        fine.len(),
        unknown.len(),
    );
    let mut lines = vec![format!("{host}, {}", moment(now))];
    lines.extend(hanging("", &sum));
    if !findings.is_empty() {
        lines.extend([String::new(), format!("{:<9}{:<25}WHAT IS WRONG", "LEVEL", "CHECK")]);
    }
    for Finding { check, .. } in findings {
        let head = format!("{:<9}{:<25}", check.level.name(), check.id);
        lines.extend(hanging(&head, check.title));
    }
    for finding in findings {
        lines.extend(details(finding));
    }
    if !accepted.is_empty() {
        lines.extend([String::new(), "Found and meant so (`audit.accept`):".to_owned()]);
        lines.extend(accepted.iter().flat_map(|it| entry(it.check, &it.subjects.join("; "))));
    }
    if !unknown.is_empty() {
        lines.extend([String::new(), "Could not be looked at:".to_owned()]);
        lines.extend(unknown.iter().flat_map(|(check, why)| entry(check, why)));
    }
    lines.join("\n")
}

fn details(finding: &Finding) -> Vec<String> {
    let Finding { check, subjects, change } = finding;
    let Check { id, theme, level, title, why, source, .. } = check;
    let mut lines = vec![String::new()];
    let head = format!("{}: ", level.name().to_uppercase());
    lines.extend(hanging(&head, &format!("{title} ({id}, {})", theme.name())));
    for subject in subjects {
        lines.extend(hanging("  found   ", subject));
    }
    lines.extend(hanging("  why     ", why));
    lines.extend(hanging("  change  ", change));
    lines.extend(hanging("  source  ", source));
    lines
}

fn entry(check: &Check, text: &str) -> Vec<String> {
    hanging(&format!("  {:<24}", check.id), text)
}

/// `text` after `head`, in lines that fit, the following ones indented as far as the head is long.
pub(crate) fn hanging(head: &str, text: &str) -> Vec<String> {
    let room = WIDTH.saturating_sub(head.len()).max(20);
    let mut lines = vec![String::new()];
    for word in printable(text).split_whitespace() {
        let long = word.chars().count();
        if let Some(line) = lines.last_mut()
            && (line.is_empty() || line.chars().count() + 1 + long <= room)
        {
            let space = if line.is_empty() { "" } else { " " };
            line.push_str(&format!("{space}{word}"));
            continue;
        }
        lines.push(word.to_owned());
    }
    let indented = |(at, line): (usize, String)| match at {
        0 => format!("{head}{line}"),
        _ => format!("{:width$}{line}", "", width = head.len()),
    };
    lines.into_iter().enumerate().map(indented).collect()
}

/// A text without what would command a terminal: names of workflows are anybody's.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

/// How many findings there are, the worst first.
pub(super) fn counts(report: &Report) -> String {
    let count = |level: Level| format!("{} {}", report.count(level), level.name());
    Level::ALL.into_iter().rev().map(count).collect::<Vec<_>>().join(", ")
}

/// A moment in seconds since 1970, for a person.
pub(super) fn moment(at: i64) -> String {
    let since = std::time::Duration::from_secs(at.max(0).unsigned_abs());
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// All of it, for machines.
pub(crate) fn json(report: &Report, (host, now): About<'_>) -> Value {
    let Report { findings, accepted, fine, unknown } = report;
    let count = |it: Level| (it.name().to_owned(), Value::from(report.count(it)));
    let finding = |it: &Finding| {
        json!({
            "id": it.check.id,
            "level": it.check.level.name(),
            "theme": it.check.theme.name(),
            "title": it.check.title,
            "found": it.subjects,
            "why": it.check.why,
            "change": it.change,
            "source": it.check.source,
        })
    };
    let not_made = |(check, why): &(&Check, String)| json!({ "id": check.id, "level": check.level.name(), "theme": check.theme.name(), "why": why });
    json!({
        "host": host,
        "at": moment(now),
        "levels": Level::ALL.into_iter().rev().map(count).collect::<Map<_, _>>(),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        "accepted": accepted.iter().map(finding).collect::<Vec<_>>(),
        "fine": fine.iter().map(|it| it.id).collect::<Vec<_>>(),
        "unknown": unknown.iter().map(not_made).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use gateway_n8n::audit::{Hops, Observed, audit};

    use super::*;

    /// An installation with two findings, of which much was not seen.
    pub(crate) fn report() -> Report {
        let mut seen = Observed::unseen(1_795_000_000, "n8n.example.com", "it is dark");
        seen.hops = Ok(Hops::None);
        seen.answers_at = Ok(vec!["<http://192.0.2.1:5678>\u{1b}[2J".to_owned()]);
        seen.metrics = Ok(true);
        let mut report = audit(&seen);
        report.accept(&["metrics-served".to_owned()]);
        report
    }

    const ABOUT: About<'_> = ("n8n.example.com", 1_795_000_000);

    #[test]
    fn a_table_fits_a_terminal_and_commands_none() {
        let table = table(&report(), ABOUT);
        assert!(table.lines().all(|it| it.chars().count() <= WIDTH), "{table}");
        assert!(!table.contains('\u{1b}'));
        for part in [
            "0 critical, 1 high, 1 medium, 0 low, 0 info",
            "HIGH: n8n is reached past the gateway (answers-elsewhere, closed ports)",
            "  change  N8N_PROXY_HOPS=1",
            "Could not be looked at:",
            "  unclaimed               it is dark",
            "  metrics-served          /metrics answers",
        ] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
    }

    #[test]
    fn machines_are_told_the_same() {
        let told = json(&report(), ABOUT);
        assert_eq!(told["at"], "2026-11-18T11:06:40Z");
        assert_eq!(told["levels"]["high"], 1);
        assert_eq!(told["findings"][0]["id"], "answers-elsewhere");
        assert_eq!(told["accepted"][0]["id"], "metrics-served");
        assert_eq!(told["fine"], json!(["metrics-open", "open-surfaces"]));
    }
}
