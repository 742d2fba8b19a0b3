//! `check`: everything that is wrong with a policy.

use std::path::Path;

use gateway_certs::SystemClock;
use gateway_config::{Certificate, Config, Invalid, Problem, Severity, System, effective, load};
use serde_json::{Value, json};

use super::{Exit, complain, say, wait};
use crate::{
    identity::{self, Obtained},
    run::resolve_names,
};

pub(super) fn check(file: &Path, print: bool, as_json: bool) -> anyhow::Result<Exit> {
    let read = wait(async {
        Ok(match resolve_names(file).await {
            Ok(answers) => load(file, &System, &answers),
            Err(invalid) => Err(invalid),
        })
    })?;
    let (problems, exit, config) = match read {
        Ok(config) => {
            let mut problems = config.warnings.clone();
            problems.extend(certificate(file, &config));
            let unfit = problems.iter().any(|it| it.severity == Severity::Error);
            (problems, if unfit { Exit::Policy } else { Exit::Success }, Some(config))
        }
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

/// What is to be said of a certificate in files. One of the gateway's own is made when it runs.
fn certificate(file: &Path, config: &Config) -> Vec<Problem> {
    if config.settings.tls.certificate == Certificate::SelfSigned {
        return Vec::new();
    }
    let problem = |severity, message| {
        let message = format!("tls.certificate: {message}");
        Problem { severity, file: file.to_owned(), place: None, message, hint: None }
    };
    match identity::obtain(&config.settings, &config.policy, &System, &SystemClock) {
        Ok(Obtained::One(_, loaded)) => {
            loaded.warnings.into_iter().map(|it| problem(Severity::Warning, it)).collect()
        }
        // What the store has is looked after; nothing is asked of a CA for a look at the policy.
        Ok(Obtained::Kept(_)) => Vec::new(),
        Err(why) => vec![problem(Severity::Error, format!("{:#}", anyhow::Error::from(why)))],
    }
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
