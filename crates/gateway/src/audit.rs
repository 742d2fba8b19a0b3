//! Looking at n8n's own installation: by hand (`n8n-gateway audit`) and on a schedule. What is right
//! and wrong stands in `gateway_n8n::audit`; here is looked, and told.

mod api;
mod files;
mod html;
mod inventory;
mod outside;
mod process;
mod sarif;
mod schedule;
mod show;

use std::path::PathBuf;

use gateway_config::{Audit, Secret, Settings};
use gateway_n8n::{
    Audience, Surface, Surfaces,
    audit::{Observed, Reach, Report, audit},
};
use gateway_policy::{Admission, Policy, Shown, Who};

pub(crate) use api::read_key;
pub(crate) use html::{escaped, html};
pub(crate) use inventory::Operator;
pub(crate) use outside::limits as sign_in_limits;
pub(crate) use process::variables as n8n_variables;
pub(crate) use sarif::sarif;
pub(crate) use schedule::{AuditStatus, keep_auditing};
pub(crate) use show::{hanging, json, table};

use crate::caller::Callee;

/// What is looked at, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// What the policy says, or its defaults.
    pub(crate) audit: Audit,
    /// A key of n8n's public API.
    pub(crate) key: Option<Secret>,
    /// n8n's main process.
    pub(crate) n8n: Callee,
    /// The host under which n8n is reached.
    pub(crate) host: String,
    /// Where the gateway answers its operator; nothing if no gateway runs.
    pub(crate) operator: Option<Operator>,
    /// What strangers may call.
    pub(crate) open_to_anyone: Vec<Surface>,
    /// Who is let through to triggers.
    pub(crate) reach: Vec<Reach>,
    /// Webhooks whose senders are checked.
    pub(crate) checked: Vec<String>,
    /// Where n8n's endpoints are.
    pub(crate) surfaces: Surfaces,
    /// Whether nobody may install packages of the community's.
    pub(crate) packages_closed: bool,
    /// Whether other processes are looked at: a confined gateway cannot.
    pub(crate) processes: bool,
}

impl Look {
    /// What the policy asks for.
    pub(crate) fn of(settings: &Settings, policy: &Policy) -> Self {
        let audit = settings.audit.clone().unwrap_or_default();
        let main = &settings.n8n.main;
        Self {
            key: audit.api_key.clone(),
            audit,
            n8n: Callee::in_clear(&main.host, main.port),
            host: policy.hosts.names().next().unwrap_or_default().to_owned(),
            operator: Some(Operator::of(&settings.listen.admin)),
            open_to_anyone: open_to_anyone(policy),
            reach: reach(policy),
            checked: checked(policy),
            surfaces: policy.surfaces.clone(),
            packages_closed: packages_closed(policy),
            processes: true,
        }
    }

    /// What a running gateway looks at by itself; nothing if the policy does not ask for it.
    pub(crate) fn scheduled(settings: &Settings, policy: &Policy) -> Option<Self> {
        settings.audit.as_ref()?;
        // A confined process sees no other, and what it sees must not depend on being confined.
        Some(Self { processes: false, ..Self::of(settings, policy) })
    }

    /// Looks at everything that can be seen, and judges it; `now` is in seconds since 1970.
    pub(crate) async fn look(&self, now: i64) -> Report {
        let mut report = audit(&self.observe(now).await);
        report.accept(&self.audit.accept);
        report
    }

    async fn observe(&self, now: i64) -> Observed {
        let mut seen = Observed::unseen(now, &self.host, "it was not looked at");
        seen.bounds = self.audit.bounds;
        seen.open_to_anyone.clone_from(&self.open_to_anyone);
        seen.packages_closed = self.packages_closed;
        seen.reach.clone_from(&self.reach);
        seen.checked.clone_from(&self.checked);
        outside::look(&self.n8n, now, &mut seen).await;
        api::look(&self.n8n, self.key.as_ref(), &mut seen).await;
        seen.calls = inventory::look(self.operator.as_ref(), &self.surfaces).await;
        self.look_at_machine(&mut seen);
        seen.backup = files::backup(self.audit.backup.as_ref()).await;
        seen
    }

    /// What is to be seen of n8n's process and its files.
    fn look_at_machine(&self, seen: &mut Observed) {
        let process = match self.processes {
            true => process::variables(self.n8n.at.port),
            false => Err("the running gateway sees no other process".to_owned()),
        };
        let data: Option<PathBuf> = self.audit.data.clone().or_else(|| {
            let variables = process.as_ref().ok()?;
            let folder = variables.value("N8N_USER_FOLDER").or_else(|| variables.value("HOME"))?;
            Some(PathBuf::from(folder).join(".n8n"))
        });
        files::data(data.as_deref(), seen);
        let (files, variables) = files::env_files(&self.audit.env_files);
        seen.env_files = files;
        seen.variables = match (process, variables) {
            (Ok(process), _) => Ok(process),
            (Err(_), Some(files)) => Ok(files),
            (Err(why), None) => Err(format!("{why}, and `audit.env_files` names no file")),
        };
    }
}

/// Who is let through to triggers, by path.
fn reach(policy: &Policy) -> Vec<Reach> {
    let triggers = [Surface::Webhook, Surface::Form, Surface::Mcp];
    let rules =
        triggers.into_iter().flat_map(|it| policy.access.of(it).iter().map(move |rule| (it, rule)));
    rules
        .map(|(surface, rule)| Reach {
            path: named(surface, &rule.path),
            anyone: lets_in_strangers(&rule.value),
        })
        .collect()
}

/// Webhooks whose senders have to show something, or to be where they are expected.
fn checked(policy: &Policy) -> Vec<String> {
    let asked =
        policy.webhooks.iter().filter(|(_, _, it, _)| it.proof.is_some() || it.from.is_some());
    asked.map(|(surface, path, _, _)| named(surface, path)).collect()
}

/// A path as n8n has it unless its endpoints are renamed.
fn named(surface: Surface, path: &str) -> String {
    format!("/{}/{path}", surface.name()).trim_end_matches('/').to_owned()
}

/// Whether the path below which the editor installs packages has a line that lets nobody in.
fn packages_closed(policy: &Policy) -> bool {
    let mut rules = policy.access.of(Surface::Rest).iter();
    rules.any(|it| it.path == "community-packages" && matches!(it.value, Who::Nobody))
}

/// Addresses of strangers all over the world. Source: RFC 5737 and what is far from it.
const STRANGERS: [&str; 4] = ["203.0.113.77", "1.2.3.4", "93.184.215.14", "2a00:1450:4001::1"];

/// Surfaces where strangers are let in although n8n does not mean them for everybody and nothing in
/// them asks callers who they are: triggers and n8n's MCP server have sign-ins of their own.
fn open_to_anyone(policy: &Policy) -> Vec<Surface> {
    let own_sign_in = [
        Surface::Agents,
        Surface::Chat,
        Surface::Health,
        Surface::Mcp,
        Surface::McpServer,
        Surface::OauthServer,
    ];
    let open = |surface: &Surface| lets_in_strangers(&policy.access.of(*surface).root().value);
    let all = Surface::all().filter(|it| it.row().audience != Audience::Anyone);
    all.filter(|it| !own_sign_in.contains(it)).filter(open).collect()
}

fn lets_in_strangers(who: &Who) -> bool {
    let mut strangers = STRANGERS.iter().filter_map(|it| it.parse().ok());
    strangers.all(|it| who.admits(it, Shown::Nothing) == Admission::Open)
}
