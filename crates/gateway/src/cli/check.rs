//! `check`: everything that is wrong with a policy.

use std::path::Path;

use gateway_config::{Invalid, Problem, Severity, effective};
use serde_json::{Value, json};

use super::{Exit, complain, say, wait};
use crate::run::read_policy;

pub(super) fn check(file: &Path, print: bool, as_json: bool) -> anyhow::Result<Exit> {
    let read = wait(async { Ok(read_policy(file).await) })?;
    let (problems, exit, config) = match read {
        Ok((config, _)) => (config.warnings.clone(), Exit::Success, Some(config)),
        Err(Invalid(problems)) => (problems, Exit::Policy, None),
    };
    let effective = config.as_ref().filter(|_| print).map(effective);
    if as_json {
        let problems: Vec<Value> = problems.iter().map(as_value).collect();
        let usable = exit == Exit::Success;
        let mut report = json!({ "usable": usable, "problems": problems });
        if let (Some(effective), Some(report)) = (effective, report.as_object_mut()) {
            report.insert("policy".to_owned(), effective);
        }
        say(&serde_json::to_string_pretty(&report)?);
        return Ok(exit);
    }
    for problem in &problems {
        complain(&problem.to_string());
    }
    match effective {
        Some(effective) => say(&serde_json::to_string_pretty(&effective)?),
        None if exit == Exit::Success => say(&format!("{}: usable", file.display())),
        None => {}
    }
    Ok(exit)
}

fn as_value(problem: &Problem) -> Value {
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "file": problem.file,
        "line": problem.place.map(|place| place.line),
        "column": problem.place.map(|place| place.column),
        "message": problem.message,
        "hint": problem.hint,
    })
}
