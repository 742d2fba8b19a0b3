//! What is wrong with a policy, where, and what to do about it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use gateway_policy::Place;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is not used.
    Error,
    /// The policy is used, and its author should know.
    Warning,
}

/// One thing to be said about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The place in it; nothing where the whole file is meant.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}", self.file.display())?;
        if let Some(place) = self.place {
            write!(f, ":{place}")?;
        }
        write!(f, ": {severity}: {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Problems as they are found, in one file.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
}

/// More than this many problems help nobody.
const MOST: usize = 100;

impl Problems {
    pub(crate) fn add(
        &mut self,
        severity: Severity,
        file: &Path,
        place: Option<Place>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.found.len() < MOST {
            let (file, message) = (file.to_owned(), message.into());
            self.found.push(Problem { severity, file, place, message, hint });
        }
    }

    /// Whether one of them forbids the policy's use.
    pub(crate) fn any_error(&self) -> bool {
        self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All of them, in the order of the file.
    pub(crate) fn sorted(mut self) -> Vec<Problem> {
        self.found.sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
        self.found
    }
}

/// "did you mean …?", if one of `known` is close to `given`.
pub(crate) fn did_you_mean<'k>(
    given: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(given, name), name));
    // Ids begin alike: what is fewer slips away comes first.
    let slips = |name| std::cmp::Reverse(strsim::osa_distance(given, name));
    let best = scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|(a, one), (b, other)| slips(one).cmp(&slips(other)).then_with(|| a.total_cmp(b)));
    best.map(|(_, name)| format!("did you mean `{name}`?"))
}
