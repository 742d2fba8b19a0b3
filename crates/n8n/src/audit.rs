//! What may be wrong with an installation of n8n: a table of checks, each a pure function of what
//! was observed. What could not be looked at is told as such and never as fine.

mod accounts;
mod checks;
mod executions;
mod host;
mod instance;
mod observed;
mod read;
mod triggers;
mod variables;

pub use observed::{
    Backup, Bounds, Call, Execution, FileSeen, Hops, Hours, Looked, Node, Observed, Package, Page,
    PublicSettings, Reach, User, Variables, Workflow,
};
pub use read::{calls, executions, packages, page, public_settings, seconds, users, workflows};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// One layer less.
    Low,
    /// An attacker is helped.
    Medium,
    /// An attacker needs little more.
    High,
    /// An attacker needs nothing more.
    Critical,
}

impl Level {
    /// Every level, the worst last.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// What of the checklist a check belongs to that people who run n8n are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Theme {
    /// Everybody has a second factor.
    SecondFactor,
    /// Passwords are strong.
    Passwords,
    /// Everything goes over HTTPS.
    Https,
    /// Nothing is reached but through the gateway.
    ClosedPorts,
    /// Secrets and `.env` are out of version control and out of others' sight.
    Secrets,
    /// Accounts are those of people who are there.
    Users,
    /// Nobody and nothing may do more than it must.
    LeastPrivilege,
    /// There are backups.
    Backups,
    /// n8n is of a release without known attacks.
    Release,
    /// What is not used is off.
    UnusedWorkflows,
    /// Executions are looked at.
    Executions,
}

impl Theme {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SecondFactor => "second factor",
            Self::Passwords => "strong passwords",
            Self::Https => "HTTPS",
            Self::ClosedPorts => "closed ports",
            Self::Secrets => "secrets",
            Self::Users => "current users",
            Self::LeastPrivilege => "least privilege",
            Self::Backups => "backups",
            Self::Release => "latest release",
            Self::UnusedWorkflows => "unused workflows off",
            Self::Executions => "executions reviewed",
        }
    }
}

/// One row of the table: what is looked for, and what is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its stable name.
    pub id: &'static str,
    /// Where it stands on the checklist.
    pub theme: Theme,
    /// How bad it is if it is found.
    pub level: Level,
    /// What is wrong, as a short sentence.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to change; `{host}` is the host under which n8n is reached.
    pub change: &'static str,
    /// What this is known from.
    pub source: &'static str,
    judge: fn(&Observed) -> Verdict,
}

/// What a check says of what was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// What it was found in, each in a few words.
    Found(Vec<String>),
    /// Why it could not be looked at.
    Unknown(String),
}

impl Verdict {
    /// Found in `subjects`, if there are any.
    fn found_in(subjects: Vec<String>) -> Self {
        if subjects.is_empty() { Self::Fine } else { Self::Found(subjects) }
    }

    /// Found if `wrong`, with what was seen.
    fn found_if(wrong: bool, seen: impl FnOnce() -> String) -> Self {
        if wrong { Self::Found(vec![seen()]) } else { Self::Fine }
    }

    /// What `judge` says of what was seen, or that nothing was.
    fn of<T>(seen: &Looked<T>, judge: impl FnOnce(&T) -> Self) -> Self {
        match seen {
            Ok(seen) => judge(seen),
            Err(why) => Self::Unknown(why.clone()),
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked for.
    pub check: &'static Check,
    /// What it was found in.
    pub subjects: Vec<String>,
    /// The line to change.
    pub change: String,
}

/// What came of all checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What is wrong and meant so.
    pub accepted: Vec<Finding>,
    /// What was looked at and is as it should be.
    pub fine: Vec<&'static Check>,
    /// What could not be looked at, and why not.
    pub unknown: Vec<(&'static Check, String)>,
}

impl Report {
    /// How many findings are of `level`.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|it| it.check.level == level).count()
    }

    /// Sets apart what was found by checks with these ids.
    pub fn accept(&mut self, ids: &[String]) {
        let meant = |it: &Finding| ids.iter().any(|id| id == it.check.id);
        self.accepted.extend(self.findings.extract_if(.., |it| meant(it)));
    }

    /// The worst level that was found.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.findings.iter().map(|it| it.check.level).max()
    }
}

/// Every check.
#[must_use]
pub fn checks() -> &'static [Check] {
    checks::CHECKS
}

/// Holds what was observed against every check.
#[must_use]
pub fn audit(observed: &Observed) -> Report {
    let mut report = Report::default();
    for check in checks() {
        match (check.judge)(observed) {
            Verdict::Fine => report.fine.push(check),
            Verdict::Unknown(why) => report.unknown.push((check, why)),
            Verdict::Found(subjects) => {
                let change = check.change.replace("{host}", &observed.host);
                report.findings.push(Finding { check, subjects, change });
            }
        }
    }
    report.findings.sort_by_key(|it| std::cmp::Reverse(it.check.level));
    report
}

#[cfg(test)]
mod tests;
