//! Everything that the operator's page shows, in one answer that is never long.

use serde::Serialize;

use super::{
    Desk,
    bans::{self, BanView},
    lately::{self, EdgeView, Refusals, SignInView, Which},
    sessions::{self, SessionView},
    webhooks::{self, WebhookView},
};
use crate::{control::Order, status::Status};
use gateway_n8n::Surface;
use gateway_policy::Mode;

/// How many rows of one kind there are.
const ROWS: usize = 100;

/// What the page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// The host under which n8n is reached.
    pub(crate) host: String,
    /// Whether the policy refuses nothing.
    pub(crate) dry_run: bool,
    pub(crate) status: Status,
    pub(crate) refusals: Refusals,
    pub(crate) bans: Rows<BanView>,
    pub(crate) limits: Rows<EdgeView>,
    pub(crate) sign_ins: Rows<SignInView>,
    pub(crate) webhooks: Rows<WebhookView>,
    /// Nothing if the policy does not follow them.
    pub(crate) sessions: Option<Rows<SessionView>>,
    /// What a window can be opened to.
    pub(crate) surfaces: Vec<&'static str>,
}

/// The first rows of many.
#[derive(Debug, Serialize)]
pub(crate) struct Rows<T> {
    /// How many there are.
    pub(crate) all: usize,
    pub(crate) rows: Vec<T>,
}

impl<T> Rows<T> {
    fn of(mut rows: Vec<T>) -> Self {
        let all = rows.len();
        rows.truncate(ROWS);
        Self { all, rows }
    }
}

impl Desk {
    /// Everything, with the refusals that are asked for; nothing if the gateway is stopping.
    pub(super) async fn overview(&self, which: &Which) -> Option<Overview> {
        let status = *self.ask(Order::Status).await?;
        let rules = std::sync::Arc::clone(&self.rules.borrow());
        let (policy, guard) = (&rules.policy, &self.guard);
        let follows = policy.accounts.follow_sessions();
        Some(Overview {
            now: guard.now().0,
            host: policy.hosts.names().next().unwrap_or_default().to_owned(),
            dry_run: policy.mode == Mode::DryRun,
            refusals: lately::refusals(&self.telemetry.recent, which),
            bans: Rows { all: status.banned, rows: bans::last(guard, ROWS) },
            limits: Rows::of(lately::limits(guard)),
            sign_ins: Rows::of(lately::sign_ins(&self.telemetry.recent)),
            webhooks: Rows::of(webhooks::list(guard).webhooks),
            sessions: follows.then(|| Rows::of(sessions::list(guard))),
            surfaces: Surface::all().map(Surface::name).collect(),
            status,
        })
    }
}
