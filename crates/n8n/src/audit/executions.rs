//! What ran, and when.

use std::collections::{BTreeMap, BTreeSet};

use super::{Execution, Observed, Verdict, observed::DAY};

/// How far back changes and executions are looked at, in seconds.
const LATELY: i64 = 14 * DAY;

const NO_HOURS: &str = "nobody has said when people work here: `audit.hours` in the policy";

pub(super) fn odd_changes(seen: &Observed) -> Verdict {
    let Some(hours) = seen.bounds.hours else { return Verdict::Unknown(NO_HOURS.to_owned()) };
    Verdict::of(&seen.workflows, |workflows| {
        let odd = workflows.iter().filter_map(|it| {
            let at = it.updated.filter(|at| seen.now - at < LATELY && !hours.contain(*at))?;
            Some(format!("workflow `{}`, changed at {}", it.name, moment(at)))
        });
        Verdict::found_in(odd.collect())
    })
}

/// What a person starts: the rest runs by night because it was made for it.
const BY_HAND: [&str; 4] = ["manual", "retry", "cli", "evaluation"];

pub(super) fn odd_runs(seen: &Observed) -> Verdict {
    let Some(hours) = seen.bounds.hours else { return Verdict::Unknown(NO_HOURS.to_owned()) };
    Verdict::of(&seen.executions, |executions| {
        let mut odd = BTreeMap::<String, (usize, i64)>::new();
        for run in executions.iter().filter(|it| BY_HAND.contains(&it.mode.as_str())) {
            let at = run.started.filter(|at| seen.now - at < LATELY && !hours.contain(*at));
            let Some(at) = at else { continue };
            let (times, last) = odd.entry(name(seen, run)).or_default();
            (*times, *last) = (*times + 1, at.max(*last));
        }
        let told = odd.into_iter().map(|(workflow, (times, last))| {
            format!("{workflow}, started by hand {times} times, last at {}", moment(last))
        });
        Verdict::found_in(told.collect())
    })
}

/// A workflow that ran well in one way and failed in another was called by somebody for whom it was
/// not made.
pub(super) fn odd_failures(seen: &Observed) -> Verdict {
    Verdict::of(&seen.executions, |executions| {
        let mut well = BTreeMap::<&str, BTreeSet<&str>>::new();
        for run in executions.iter().filter(|it| it.status == "success") {
            well.entry(&run.workflow).or_default().insert(&run.mode);
        }
        let mut odd = BTreeMap::<(String, &str), usize>::new();
        for run in executions.iter().filter(|it| matches!(it.status.as_str(), "error" | "crashed"))
        {
            let usual = well.get(run.workflow.as_str());
            // Whoever builds a workflow fails by hand.
            let unusual = usual.is_some_and(|usual| !usual.contains(run.mode.as_str()));
            if unusual && !BY_HAND.contains(&run.mode.as_str()) {
                *odd.entry((name(seen, run), &run.mode)).or_default() += 1;
            }
        }
        let told = odd.into_iter().map(|((workflow, mode), times)| {
            format!("{workflow}, failed {times} times by `{mode}`, which never went well")
        });
        Verdict::found_in(told.collect())
    })
}

fn name(seen: &Observed, run: &Execution) -> String {
    let all = seen.workflows.as_ref().map(Vec::as_slice).unwrap_or_default();
    match all.iter().find(|it| it.id == run.workflow) {
        Some(workflow) => format!("workflow `{}`", workflow.name),
        None => format!("workflow {}", run.workflow),
    }
}

fn moment(at: i64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.max(0).unsigned_abs());
    humantime::format_rfc3339_seconds(at).to_string()
}
