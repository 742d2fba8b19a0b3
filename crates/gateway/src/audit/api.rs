//! What n8n's public API tells whoever has a key.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use gateway_config::Secret;
use gateway_n8n::audit::{Looked, Observed, executions, packages, users, workflows};
use http::{HeaderValue, Request, StatusCode};
use serde_json::Value;

use crate::caller::Callee;

/// How many pages are read at the most.
const PAGES: usize = 40;

/// Reads a key from a file.
pub(crate) fn read_key(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    match text.trim() {
        "" => bail!("{}: is empty", file.display()),
        key => Ok(Secret::new(key)),
    }
}

pub(super) async fn look(n8n: &Callee, key: Option<&Secret>, seen: &mut Observed) {
    let Some(key) = key else {
        let why = "there is no key of n8n's API: `audit.api_key`, or --api-key-file";
        seen.users = Err(why.to_owned());
        seen.workflows = Err(why.to_owned());
        seen.executions = Err(why.to_owned());
        seen.packages = Err(why.to_owned());
        return;
    };
    seen.users = all(n8n, key, "users?includeRole=true&limit=100", users).await;
    // What is pinned in an editor may be large and says nothing here.
    seen.workflows = all(n8n, key, "workflows?limit=50&excludePinnedData=true", workflows).await;
    // The last ones are enough: what is looked for is what has just happened.
    let last = one(n8n, key, "executions?limit=250").await;
    let failed = one(n8n, key, "executions?limit=250&status=error").await;
    seen.executions = last.and_then(|last| {
        let mut all = executions(&last).ok_or_else(|| strange("executions"))?;
        let failed = failed.ok().and_then(|it| executions(&it)).unwrap_or_default();
        // Those that failed lately are in both answers.
        let known = all.clone();
        all.extend(failed.into_iter().filter(|it| !known.contains(it)));
        Ok(all)
    });
    seen.packages = one(n8n, key, "community-packages")
        .await
        .and_then(|it| packages(&it).ok_or_else(|| strange("community-packages")));
}

fn strange(what: &str) -> String {
    format!("n8n's answer about {what} cannot be read")
}

/// All pages of a list.
async fn all<T>(
    n8n: &Callee,
    key: &Secret,
    path: &str,
    read: fn(&Value) -> Option<Vec<T>>,
) -> Looked<Vec<T>> {
    let mut found = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let next = match &cursor {
            Some(cursor) => format!("{path}&cursor={cursor}"),
            None => path.to_owned(),
        };
        let answer = one(n8n, key, &next).await?;
        found.extend(read(&answer).ok_or_else(|| strange(path))?);
        let more = answer.get("nextCursor").and_then(Value::as_str);
        let Some(more) = more else { return Ok(found) };
        cursor = Some(form_urlencoded::byte_serialize(more.as_bytes()).collect::<String>());
    }
    Ok(found)
}

async fn one(n8n: &Callee, key: &Secret, path: &str) -> Looked<Value> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = format!("/api/v1/{path}").parse().map_err(|_| strange(path))?;
    let mut shown =
        HeaderValue::from_str(key.expose()).map_err(|_| "the key is none".to_owned())?;
    shown.set_sensitive(true);
    request.headers_mut().insert("x-n8n-api-key", shown);
    let answer = n8n.ask(request).await?;
    let what = path.split('?').next().unwrap_or(path);
    match answer.status {
        StatusCode::OK => answer.json().ok_or_else(|| strange(what)),
        StatusCode::UNAUTHORIZED => Err("n8n does not know the key".to_owned()),
        StatusCode::FORBIDDEN => Err(format!("the key may not read {what}")),
        StatusCode::NOT_FOUND => Err(format!("n8n has no {what} in its public API")),
        other => Err(format!("n8n answers {other} when it is asked for {what}")),
    }
}
