//! What was found, as one page: nothing is loaded and nothing runs.

use base64::{Engine, prelude::BASE64_STANDARD};
use gateway_n8n::audit::{Check, Finding, Report};
use sha2::{Digest, Sha256};

use super::show::{About, counts, moment, printable};

/// Dark and light as the reader has it; readable on paper.
const STYLE: &str = include_str!("report.css");

/// One page for a browser.
pub(crate) fn html(report: &Report, (host, now): About<'_>) -> String {
    let Report { findings, accepted, fine, unknown } = report;
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let host = escaped(host);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'sha256-{style}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>n8n at {host}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>n8n at {host}</h1>\n\
         <p class=\"about\">{}. {}; {} checks are fine, {} could not be made.</p>\n",
        moment(now),
        counts(report),
        fine.len(),
        unknown.len(),
    );
    if findings.is_empty() {
        page.push_str("<p>Nothing that could be looked at is wrong.</p>\n");
    } else {
        page.push_str("<table>\n<tr><th>Level</th><th>Check</th><th>What is wrong</th></tr>\n");
        for Finding { check, .. } in findings {
            page.push_str(&format!(
                "<tr><td>{}</td><td><a href=\"#{2}\">{2}</a></td><td>{}</td></tr>\n",
                badge(check),
                escaped(check.title),
                check.id,
            ));
        }
        page.push_str("</table>\n");
    }
    page.extend(findings.iter().map(details));
    page.push_str(&listed(
        "Found and meant so",
        accepted.iter().map(|it| (it.check, it.subjects.join("; "))),
    ));
    let unknown = unknown.iter().map(|(check, why)| (*check, why.clone()));
    page.push_str(&listed("Could not be looked at", unknown));
    page.push_str(&listed("Fine", fine.iter().map(|it| (*it, it.theme.name().to_owned()))));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn badge(check: &Check) -> String {
    format!("<span class=\"level {0}\">{0}</span>", check.level.name())
}

fn details(finding: &Finding) -> String {
    let Finding { check, subjects, change } = finding;
    let subjects: String = subjects.iter().map(|it| format!("<li>{}</li>", escaped(it))).collect();
    format!(
        "<section id=\"{}\">\n<h2>{} {}</h2>\n<ul>{subjects}</ul>\n<p>{}</p>\n<dl><dt>Change</dt>\
         <dd><code>{}</code></dd><dt>Checklist</dt><dd>{}</dd><dt>Source</dt><dd>{}</dd></dl>\n</section>\n",
        check.id,
        badge(check),
        escaped(check.title),
        escaped(check.why),
        escaped(change),
        check.theme.name(),
        escaped(check.source),
    )
}

fn listed<'c>(title: &str, rows: impl Iterator<Item = (&'c Check, String)>) -> String {
    let row = |(check, text): (&Check, String)| {
        format!("<dt>{}</dt><dd>{}</dd>", escaped(check.id), escaped(&text))
    };
    let rows: String = rows.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{title}</h2>\n<dl>{rows}</dl>\n</section>\n")
}

/// Text that is no markup, whatever is in it.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for it in printable(text).chars() {
        match it {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::show::tests::report;

    #[test]
    fn a_page_is_whole_and_names_are_no_markup() {
        let page = html(&report(), ("<b>", 1_795_000_000));
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert!(!page.contains("<b>") && page.contains("&lt;http://192.0.2.1:5678&gt;"));
        for loaded in ["<script", "src=", "@import", "url("] {
            assert!(!page.contains(loaded), "{loaded}");
        }
        assert!(page.contains("Found and meant so") && page.contains("Could not be looked at"));
    }
}
