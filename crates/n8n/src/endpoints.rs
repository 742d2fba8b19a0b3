//! The first segments that n8n lets its operator rename, and the variables that do it.

use std::fmt;

use crate::{Mount, Row, Surface};

/// A first path segment that n8n mounts routes under.
///
/// Source: `@n8n/config`, `configs/endpoints.config.js` and `configs/public-api.config.js`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// No renaming: the mount's own path is the whole path.
    Fixed,
    /// The editor's internal API.
    Rest,
    /// The public REST API.
    PublicApi,
    /// Production webhooks.
    Webhook,
    /// Test webhooks.
    WebhookTest,
    /// Waiting executions.
    WebhookWaiting,
    /// Production forms.
    Form,
    /// Test forms.
    FormTest,
    /// Waiting forms.
    FormWaiting,
    /// Production MCP triggers.
    Mcp,
    /// Test MCP triggers.
    McpTest,
    /// Liveness and readiness.
    Health,
    /// Preset credentials; n8n mounts it only if the variable is set.
    CredentialsOverwrite,
}

/// One renameable root: key in `n8n.endpoints`, n8n's variable, n8n's default.
struct Renameable {
    root: Root,
    key: &'static str,
    variable: &'static str,
    default: &'static str,
}

const RENAMEABLE: [Renameable; 12] = [
    row(Root::Rest, "rest", "N8N_ENDPOINT_REST", "rest"),
    row(Root::PublicApi, "public-api", "N8N_PUBLIC_API_ENDPOINT", "api"),
    row(Root::Webhook, "webhook", "N8N_ENDPOINT_WEBHOOK", "webhook"),
    row(Root::WebhookTest, "webhook-test", "N8N_ENDPOINT_WEBHOOK_TEST", "webhook-test"),
    row(Root::WebhookWaiting, "webhook-waiting", "N8N_ENDPOINT_WEBHOOK_WAIT", "webhook-waiting"),
    row(Root::Form, "form", "N8N_ENDPOINT_FORM", "form"),
    row(Root::FormTest, "form-test", "N8N_ENDPOINT_FORM_TEST", "form-test"),
    row(Root::FormWaiting, "form-waiting", "N8N_ENDPOINT_FORM_WAIT", "form-waiting"),
    row(Root::Mcp, "mcp", "N8N_ENDPOINT_MCP", "mcp"),
    row(Root::McpTest, "mcp-test", "N8N_ENDPOINT_MCP_TEST", "mcp-test"),
    row(Root::Health, "health", "N8N_ENDPOINT_HEALTH", "healthz"),
    row(Root::CredentialsOverwrite, "credentials-overwrite", "CREDENTIALS_OVERWRITE_ENDPOINT", ""),
];

const fn row(
    root: Root,
    key: &'static str,
    variable: &'static str,
    default: &'static str,
) -> Renameable {
    Renameable { root, key, variable, default }
}

/// Why a renamed segment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// n8n has no such endpoint.
    #[error("n8n has no endpoint named `{0}`")]
    Unknown(String),
    /// The segment would not be matched as written.
    #[error("`{0}` is not a path of plain segments (letters, digits, `-`, `_`, `.`)")]
    Segment(String),
    /// Two endpoints that claim the same paths: n8n would serve only the first.
    #[error("`{0}` and `{1}` both stand at `/{2}`")]
    Clash(&'static str, &'static str, String),
}

/// The first segments as this n8n mounts them.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoints {
    segments: [String; RENAMEABLE.len()],
}

impl Endpoints {
    /// The keys that [`Endpoints::rename`] takes, with the n8n variable each one mirrors.
    pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
        RENAMEABLE.iter().map(|row| (row.key, row.variable))
    }

    /// Mounts `key` at `segment` instead of n8n's default, as the variable of the same row does.
    /// A leading or trailing slash is dropped.
    ///
    /// # Errors
    ///
    /// An unknown key, or a segment that is empty, encoded or dotted.
    pub fn rename(&mut self, key: &str, segment: &str) -> Result<(), EndpointError> {
        let at = RENAMEABLE.iter().position(|row| row.key == key);
        let slot = at.and_then(|at| self.segments.get_mut(at));
        let slot = slot.ok_or_else(|| EndpointError::Unknown(key.to_owned()))?;
        let trimmed = segment.trim_matches('/');
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        if !trimmed.split('/').all(plain) {
            return Err(EndpointError::Segment(segment.to_owned()));
        }
        trimmed.clone_into(slot);
        Ok(())
    }

    /// Checks that no two of n8n's parts claim the same path, whether at the same segment or one
    /// below the other: n8n would serve the one that it happens to mount first.
    ///
    /// # Errors
    ///
    /// The first pair that does.
    pub fn distinct(&self) -> Result<(), EndpointError> {
        let rows = Surface::all().map(Surface::row);
        let mounts = rows.flat_map(|row| row.mounts.iter().map(move |mount| (row, mount)));
        let claimed =
            mounts.filter_map(|(row, mount)| Some((row, mount.root, self.pattern(mount)?)));
        let claimed: Vec<(&Row, Root, String)> = claimed.collect();
        for (at, (row, root, pattern)) in claimed.iter().enumerate() {
            let others = claimed.iter().skip(at + 1).filter(|(_, other, _)| other != root);
            for (other_row, other, other_pattern) in others {
                if overlap(pattern, other_pattern) {
                    let (one, two) = (key_of(*root, row), key_of(*other, other_row));
                    let (a, b) = (stem(pattern), stem(other_pattern));
                    let place = if a.len() > b.len() { a } else { b }.to_owned();
                    return Err(EndpointError::Clash(one, two, place));
                }
            }
        }
        Ok(())
    }

    /// Where `mount` stands, wildcards and all; nowhere if its root is not mounted.
    pub(crate) fn pattern(&self, mount: &Mount) -> Option<String> {
        let segment = self.segment(mount.root);
        if segment.is_empty() && mount.root != Root::Fixed {
            return None;
        }
        let joined = segment.is_empty() || mount.path.is_empty() || mount.path.starts_with('-');
        let glue = if joined { "" } else { "/" };
        Some(format!("{segment}{glue}{}", mount.path))
    }

    /// The path `root` stands at, without slashes at its ends; empty for [`Root::Fixed`] and for
    /// an endpoint that n8n does not mount unless it is named.
    #[must_use]
    pub fn segment(&self, root: Root) -> &str {
        let at = RENAMEABLE.iter().position(|row| row.root == root);
        at.and_then(|at| self.segments.get(at)).map_or("", String::as_str)
    }
}

/// What an operator calls a root: its key, or the surface's name where it cannot be renamed.
fn key_of(root: Root, row: &Row) -> &'static str {
    RENAMEABLE.iter().find(|it| it.root == root).map_or(row.name, |it| it.key)
}

/// What stands before a pattern's first wildcard.
fn stem(pattern: &str) -> &str {
    pattern.split("/*").next().unwrap_or_default()
}

/// Whether some path fits both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("**"), _) | (_, Some("**")) | (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(a), Some(b)) if a == "*" || b == "*" || a.eq_ignore_ascii_case(b) => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { segments: RENAMEABLE.map(|row| row.default.to_owned()) }
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(RENAMEABLE.iter().map(|row| row.key).zip(&self.segments)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_as_the_variable_does() {
        let mut endpoints = Endpoints::default();
        assert_eq!(endpoints.rename("webhook", "/hooks/in/"), Ok(()));
        assert_eq!(endpoints.segment(Root::Webhook), "hooks/in");
        assert_eq!(endpoints.segment(Root::Rest), "rest");
        assert_eq!(endpoints.segment(Root::Fixed), "");
    }

    #[test]
    fn refuses_what_would_not_match() {
        let mut endpoints = Endpoints::default();
        for segment in ["", "/", "a//b", "a%2f", "..", "a b", "a;b"] {
            assert!(
                matches!(endpoints.rename("rest", segment), Err(EndpointError::Segment(_))),
                "{segment:?}"
            );
        }
        assert!(matches!(endpoints.rename("assets", "x"), Err(EndpointError::Unknown(_))));
    }

    #[test]
    fn two_endpoints_on_one_segment_clash() {
        let mut endpoints = Endpoints::default();
        assert_eq!(endpoints.distinct(), Ok(()));
        assert_eq!(endpoints.rename("form", "Webhook"), Ok(()));
        assert!(matches!(endpoints.distinct(), Err(EndpointError::Clash("webhook", "form", _))));
    }

    #[test]
    fn two_endpoints_one_below_the_other_clash() {
        let clash = |one, other, at: &str| Err(EndpointError::Clash(one, other, at.to_owned()));
        for (key, segment, expected) in [
            // n8n mounts forms before webhooks, and both before everything else.
            ("webhook", "form/in", clash("webhook", "form", "form/in")),
            ("rest", "webhook/rest", clash("rest", "webhook", "webhook/rest")),
            ("webhook", "Rest/hooks", clash("rest", "webhook", "Rest/hooks")),
            ("webhook", "api/v1/hooks", clash("public-api", "webhook", "api/v1/hooks")),
            ("form", "oauth", clash("form", "oauth-server", "oauth/authorize")),
            ("mcp", "assets", clash("assets", "mcp", "assets")),
            ("form", "webhook-waiting/1", clash("webhook-waiting", "form", "webhook-waiting/1")),
            ("health", "webhook/alive", clash("webhook", "health", "webhook/alive")),
            ("webhook", "api/v2", Ok(())),
            ("mcp", "mcp-server/tools", Ok(())),
            ("form", "webhook-waiting/1/2", Ok(())),
            ("health", "webhook-waiting/a/b/c", Ok(())),
        ] {
            let mut endpoints = Endpoints::default();
            assert_eq!(endpoints.rename(key, segment), Ok(()));
            assert_eq!(endpoints.distinct(), expected, "{key}: {segment}");
        }
    }
}
