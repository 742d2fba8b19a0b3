//! What was observed of an installation: all that checks are told.

use std::collections::BTreeMap;

use crate::{Release, Surface};

/// What was seen, or why it could not be looked at.
pub type Looked<T> = Result<T, String>;

/// An installation as it was found.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When, in seconds since 1970.
    pub now: i64,
    /// The host under which n8n is reached.
    pub host: String,
    /// What is too much, too old, too late.
    pub bounds: Bounds,
    /// The editor's page.
    pub page: Looked<Page>,
    /// What n8n tells everybody of its settings.
    pub settings: Looked<PublicSettings>,
    /// Whether n8n lets pages of any origin read its answers, with the visitor's cookie.
    pub reads_across_origins: Looked<bool>,
    /// Whether n8n limits attempts to sign in, which it does in production mode alone.
    pub limits_sign_ins: Looked<bool>,
    /// How many proxies n8n believes.
    pub hops: Looked<Hops>,
    /// Addresses of this machine, loopback aside, at which n8n answers.
    pub answers_at: Looked<Vec<String>>,
    /// Whether n8n serves its metrics.
    pub metrics: Looked<bool>,
    /// Whether n8n serves the pages about its public API.
    pub api_docs: Looked<bool>,
    /// Surfaces that the gateway's policy opens to anybody and that are not meant for everybody.
    pub open_to_anyone: Vec<Surface>,
    /// Whether the gateway's policy lets nobody install packages of the community's.
    pub packages_closed: bool,
    /// The accounts.
    pub users: Looked<Vec<User>>,
    /// The workflows, those that are not active among them.
    pub workflows: Looked<Vec<Workflow>>,
    /// The last executions.
    pub executions: Looked<Vec<Execution>>,
    /// What was installed from npm.
    pub packages: Looked<Vec<Package>>,
    /// What was called, as the gateway has counted it.
    pub calls: Looked<Vec<Call>>,
    /// Who the gateway lets through to triggers, by path; the longest path wins.
    pub reach: Vec<Reach>,
    /// Paths of webhooks whose senders the gateway checks itself.
    pub checked: Vec<String>,
    /// n8n's environment.
    pub variables: Looked<Variables>,
    /// Files with n8n's environment.
    pub env_files: Looked<Vec<FileSeen>>,
    /// n8n's settings file, which holds its encryption key.
    pub settings_file: Looked<FileSeen>,
    /// n8n's data directory.
    pub data: Looked<FileSeen>,
    /// The last backup.
    pub backup: Looked<Backup>,
}

impl Observed {
    /// An installation of which nothing was seen, because of `why`.
    #[must_use]
    pub fn unseen(now: i64, host: &str, why: &str) -> Self {
        fn no<T>(why: &str) -> Looked<T> {
            Err(why.to_owned())
        }
        Self {
            now,
            host: host.to_owned(),
            bounds: Bounds::default(),
            page: no(why),
            settings: no(why),
            reads_across_origins: no(why),
            limits_sign_ins: no(why),
            hops: no(why),
            answers_at: no(why),
            metrics: no(why),
            api_docs: no(why),
            open_to_anyone: Vec::new(),
            packages_closed: false,
            users: no(why),
            workflows: no(why),
            executions: no(why),
            packages: no(why),
            calls: no(why),
            reach: Vec::new(),
            checked: Vec::new(),
            variables: no(why),
            env_files: no(why),
            settings_file: no(why),
            data: no(why),
            backup: no(why),
        }
    }
}

/// What is too much, too old, too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many owners and admins there may be.
    pub admins: usize,
    /// After how many seconds an account or a trigger that nobody uses is unused.
    pub unused: i64,
    /// How old the last backup may be, in seconds.
    pub backup: i64,
    /// When people work; nothing if that is not known.
    pub hours: Option<Hours>,
}

/// A span of each day in UTC, in minutes since midnight; over midnight if it ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Its first minute, 0 to 1439.
    pub from: u16,
    /// The first minute after it, 0 to 1440.
    pub to: u16,
}

impl Hours {
    /// Whether the moment `at`, in seconds since 1970, is within.
    #[must_use]
    pub fn contain(self, at: i64) -> bool {
        let minute = at.rem_euclid(86_400) / 60;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

/// A day in seconds.
pub(super) const DAY: i64 = 86_400;

impl Default for Bounds {
    /// Three admins; ninety days, as n8n's own audit has it; two days, since backups are made daily.
    fn default() -> Self {
        Self { admins: 3, unused: 90 * DAY, backup: 2 * DAY, hours: None }
    }
}

/// What the editor's page says of n8n.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its release, if it is told.
    pub release: Option<Release>,
}

/// What n8n tells everybody of its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicSettings {
    /// Whether nobody owns it yet.
    pub unclaimed: bool,
    /// Whether its cookie is for HTTPS alone.
    pub secure_cookie: bool,
    /// Whether it is in preview mode.
    pub preview: bool,
    /// Whether packages of the community's may be installed.
    pub community_nodes: bool,
    /// The shortest password that it takes.
    pub password_min_length: Option<u64>,
    /// Where it believes it is reached.
    pub base_url: Option<String>,
}

/// How many proxies n8n believes (`N8N_PROXY_HOPS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// None: everybody is the gateway.
    None,
    /// The gateway.
    One,
    /// More: whoever reaches n8n past the gateway chooses an address.
    Many,
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its address.
    pub email: String,
    /// Its role, such as `global:owner`.
    pub role: String,
    /// Whether it was invited and has not come yet.
    pub pending: bool,
    /// Whether it has a second factor.
    pub second_factor: bool,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// When it was used or changed last, to the day.
    pub updated: Option<i64>,
}

/// A workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workflow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its triggers are in production.
    pub active: bool,
    /// When it was changed last, in seconds since 1970.
    pub updated: Option<i64>,
    /// What is in production of it, or its draft if nothing is.
    pub nodes: Vec<Node>,
}

/// A node, as far as it can be called from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name in the workflow.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// The parameter `authentication`; n8n leaves it out if it is `none`.
    pub authentication: Option<String>,
    /// The parameter `path`, or the one among the options.
    pub path: Option<String>,
    /// What n8n has made of it.
    pub webhook_id: Option<String>,
    /// The parameter `public` of chats.
    pub public: bool,
    /// Whether it takes calls of some addresses alone.
    pub allowlisted: bool,
    /// Whether it is switched off.
    pub disabled: bool,
}

/// An execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    /// Of which workflow.
    pub workflow: String,
    /// What started it, such as `webhook` or `manual`.
    pub mode: String,
    /// Such as `success` or `error`.
    pub status: String,
    /// When it started, in seconds since 1970.
    pub started: Option<i64>,
}

/// A package of the community's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name on npm.
    pub name: String,
    /// The version that is installed.
    pub version: String,
}

/// Since when something is called, and when it was last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its path, such as `/webhook/orders`.
    pub path: String,
    /// When it was called first since somebody counts, in seconds since 1970.
    pub first: i64,
    /// When it was called last, in seconds since 1970.
    pub last: i64,
}

/// Whether strangers are let through to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The path and what is below it, such as `/webhook` or `/webhook/orders`; `*` for any segment.
    pub path: String,
    /// Whether anybody is.
    pub anyone: bool,
}

/// n8n's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// Each variable and its value. Secrets among them are never part of a finding.
    pub set: BTreeMap<String, String>,
    /// Where it was read, for a person.
    pub from: String,
    /// Whether this is all of it: what is not here is not set.
    pub whole: bool,
}

/// A file or a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSeen {
    /// Where it is.
    pub path: String,
    /// Its permissions, such as `0o600`.
    pub mode: u32,
    /// Whether it is under version control: tracked by git, or in a repository that does not
    /// ignore it.
    pub in_git: Option<String>,
    /// The names of variables in it whose values are secrets in clear.
    pub secrets: Vec<String>,
}

/// The last backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it is, or what told of it.
    pub from: String,
    /// When it was made, in seconds since 1970; nothing if there is none.
    pub made: Option<i64>,
}
