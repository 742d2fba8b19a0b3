//! What n8n's own answers say: its page, its settings, its public API.
//!
//! Source: n8n 2.40.7, `services/frontend.service.js`, `commands/start.js`, `public-api/v1`; each
//! was asked of a running one.

use serde_json::Value;

use super::{Call, Execution, Node, Package, Page, PublicSettings, User, Workflow};
use crate::Release;

/// Seconds since 1970 of a time such as `2026-11-22T15:05:06.470Z`.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// What the editor's page says of n8n; nothing if it is no page of n8n's.
#[must_use]
pub fn page(html: &str) -> Option<Page> {
    let release = Release::of_page(html);
    let known = release.is_some() || html.contains("\"n8n:config:rest-endpoint\"");
    known.then_some(Page { release })
}

/// What `GET /rest/settings` says without a session; nothing if it is no answer of n8n's.
#[must_use]
pub fn public_settings(answer: &Value) -> Option<PublicSettings> {
    let data = answer.get("data")?;
    let users = data.get("userManagement")?;
    let login = data.pointer("/sso/oidc/loginUrl").and_then(Value::as_str);
    let base = login.and_then(|url| url.split_once("/rest/sso/")).map(|(base, _)| base.to_owned());
    Some(PublicSettings {
        unclaimed: flag(users, "showSetupOnFirstLoad"),
        secure_cookie: data.pointer("/authCookie/secure").and_then(Value::as_bool)?,
        preview: flag(data, "previewMode"),
        community_nodes: flag(data, "communityNodesEnabled"),
        password_min_length: users.get("passwordMinLength").and_then(Value::as_u64),
        base_url: base,
    })
}

/// A page of `GET /api/v1/users?includeRole=true`.
#[must_use]
pub fn users(answer: &Value) -> Option<Vec<User>> {
    rows(answer, |it| User {
        email: text(it, "email").unwrap_or_default(),
        role: text(it, "role").unwrap_or_default(),
        pending: flag(it, "isPending"),
        second_factor: flag(it, "mfaEnabled"),
        created: time(it, "createdAt"),
        updated: time(it, "updatedAt"),
    })
}

/// A page of `GET /api/v1/workflows`.
#[must_use]
pub fn workflows(answer: &Value) -> Option<Vec<Workflow>> {
    rows(answer, |it| {
        // What is in production is the version that was published, whatever the draft says.
        let published = it.pointer("/activeVersion/nodes").or_else(|| it.get("nodes"));
        let nodes = published.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Workflow {
            id: text(it, "id").unwrap_or_default(),
            name: text(it, "name").unwrap_or_default(),
            active: flag(it, "active") && !flag(it, "isArchived"),
            updated: time(it, "updatedAt"),
            nodes: nodes.iter().map(node).collect(),
        }
    })
}

fn node(node: &Value) -> Node {
    let none = Value::Null;
    let parameters = node.get("parameters").unwrap_or(&none);
    let options = parameters.get("options").unwrap_or(&none);
    Node {
        name: text(node, "name").unwrap_or_default(),
        kind: text(node, "type").unwrap_or_default(),
        authentication: text(parameters, "authentication"),
        path: text(parameters, "path").or_else(|| text(options, "path")),
        webhook_id: text(node, "webhookId"),
        public: flag(parameters, "public"),
        allowlisted: text(options, "ipWhitelist").is_some_and(|it| !it.trim().is_empty()),
        disabled: flag(node, "disabled"),
    }
}

/// A page of `GET /api/v1/executions`.
#[must_use]
pub fn executions(answer: &Value) -> Option<Vec<Execution>> {
    rows(answer, |it| Execution {
        workflow: text(it, "workflowId").unwrap_or_default(),
        mode: text(it, "mode").unwrap_or_default(),
        status: text(it, "status").unwrap_or_default(),
        started: time(it, "startedAt"),
    })
}

/// The answer of `GET /api/v1/community-packages`, a bare list.
#[must_use]
pub fn packages(answer: &Value) -> Option<Vec<Package>> {
    let package = |it: &Value| Package {
        name: text(it, "packageName").unwrap_or_default(),
        version: text(it, "installedVersion").unwrap_or_default(),
    };
    Some(answer.as_array()?.iter().map(package).collect())
}

/// The gateway's own inventory of webhooks.
#[must_use]
pub fn calls(answer: &Value) -> Option<Vec<Call>> {
    let all = answer.get("webhooks")?.as_array()?;
    let call = |it: &Value| {
        let (path, last) = (text(it, "path")?, time(it, "last")?);
        Some(Call { path, first: time(it, "first").unwrap_or(last), last })
    };
    Some(all.iter().filter_map(call).collect())
}

fn rows<T>(answer: &Value, row: impl Fn(&Value) -> T) -> Option<Vec<T>> {
    Some(answer.get("data")?.as_array()?.iter().map(row).collect())
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or(false)
}

fn time(value: &Value, field: &str) -> Option<i64> {
    seconds(value.get(field)?.as_str()?)
}
