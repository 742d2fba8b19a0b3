//! What was found, for code scanning: SARIF 2.1.0.
//!
//! Source: OASIS, Static Analysis Results Interchange Format 2.1.0 (sections in the comments);
//! GitHub, "SARIF support for code scanning".

use gateway_n8n::audit::{Check, Finding, Level, Report, checks};
use serde_json::{Value, json};

use super::show::{About, moment, printable};

/// The report as a SARIF log.
pub(crate) fn sarif(report: &Report, (host, now): About<'_>) -> Value {
    let found = report.findings.iter().map(|it| result(it, host));
    let accepted = report.accepted.iter().map(|it| {
        let mut result = result(it, host);
        // 3.27.23: found, and not to be shown as open.
        if let Some(result) = result.as_object_mut() {
            let meant = json!([{ "kind": "external", "status": "accepted" }]);
            result.insert("suppressions".to_owned(), meant);
        }
        result
    });
    let not_made = |(check, why): &(&Check, String)| {
        json!({
            "associatedRule": { "id": check.id },
            "level": "note",
            "message": { "text": format!("{}: could not be looked at: {}", check.id, printable(why)) },
        })
    };
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "n8n-gateway audit",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": checks().iter().map(rule).collect::<Vec<_>>(),
            } },
            // 3.20: what could not be looked at is said where a tool says what it could not do.
            "invocations": [{
                "executionSuccessful": true,
                "endTimeUtc": moment(now),
                "toolExecutionNotifications": report.unknown.iter().map(not_made).collect::<Vec<_>>(),
            }],
            "results": found.chain(accepted).collect::<Vec<_>>(),
        }],
    })
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": check.why },
        "help": { "text": format!("{}\nChange: {}\nSource: {}", check.why, check.change, check.source) },
        "defaultConfiguration": { "level": level(check.level) },
        "properties": { "security-severity": severity(check.level), "tags": ["security", check.theme.name()] },
    })
}

fn result(finding: &Finding, host: &str) -> Value {
    let Finding { check, subjects, change } = finding;
    let subjects: Vec<_> = subjects.iter().map(|it| printable(it)).collect();
    let text = format!("{}: {}. Change: {change}", check.title, subjects.join("; "));
    let index = checks().iter().position(|it| it.id == check.id);
    json!({
        "ruleId": check.id,
        "ruleIndex": index,
        "kind": "fail",
        "level": level(check.level),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": format!("https://{host}/") } },
            "logicalLocations": subjects.iter().map(|it| json!({ "name": it })).collect::<Vec<_>>(),
        }],
        "partialFingerprints": { "check/v1": format!("{host}/{}", check.id) },
    })
}

/// 3.27.10.
fn level(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Info => "note",
    }
}

/// What GitHub sorts by: over 9 is critical, from 7 on high, from 4 on medium, the rest low.
fn severity(level: Level) -> &'static str {
    match level {
        Level::Critical => "9.5",
        Level::High => "8.0",
        Level::Medium => "5.5",
        Level::Low => "3.0",
        Level::Info => "0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::show::tests::report;

    /// What the standard requires of each object, and what must be of a closed set.
    #[test]
    fn what_the_standard_requires_is_there() {
        let log = sarif(&report(), ("n8n.example.com", 1_795_000_000));
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert!(run["tool"]["driver"]["name"].is_string());
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), checks().len());
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 3, "two findings, and one that is meant so");
        for result in results {
            let text = result["message"]["text"].as_str().unwrap();
            assert!(!text.is_empty() && !text.contains('\u{1b}'));
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[rule]["id"], result["ruleId"]);
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            assert_eq!(uri, "https://n8n.example.com/");
        }
        assert_eq!(results[2]["suppressions"][0]["kind"], "external");
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], true);
        let told = invocation["toolExecutionNotifications"].as_array().unwrap();
        assert_eq!(told.len(), report().unknown.len());
        assert!(told.iter().all(|it| it["message"]["text"].is_string()));
    }
}
