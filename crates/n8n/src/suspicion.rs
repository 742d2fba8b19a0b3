//! Paths that n8n does not have. n8n answers 200 and its editor's page to nearly every GET, so
//! whoever looks for what is not there cannot be told by n8n's answers, only by the paths.

use crate::{Surface, Tail};

/// What a path tells of whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// n8n has nothing there: a probe.
    Probe,
    /// n8n has something there that nobody asks for but to attack it.
    Attack,
}

/// First segments of the editor's own pages.
///
/// Source: the routes in `n8n-editor-ui` 2.40.7, and surfaces whose bare root n8n answers with the
/// editor's page.
const PAGES: [&str; 48] = [
    "",
    "api",
    "assistant",
    "blank-redirect",
    "browser-use",
    "change-password",
    "chat",
    "collections",
    "credentials",
    "debug",
    "entity-not-found",
    "entity-unauthorized",
    "evaluation",
    "executions",
    "forgot-password",
    "form",
    "form-test",
    "form-waiting",
    "healthz",
    "home",
    "insights",
    "instance-ai",
    "mcp",
    "mcp-oauth",
    "mcp-server",
    "mcp-test",
    "new-agent",
    "oauth",
    "personal",
    "projects",
    "resource-center",
    "rest",
    "reviews",
    "saml",
    "settings",
    "setup",
    "shared",
    "signin",
    "signout",
    "signup",
    "templates",
    "tutorial",
    "variables",
    "webhook",
    "webhook-test",
    "webhook-waiting",
    "workflow",
    "workflows",
];

/// What browsers, phones and search engines ask any site for, found or not.
const ASKED_ANYWHERE: [&str; 11] = [
    ".well-known",
    "ads.txt",
    "browserconfig.xml",
    "favicon.ico",
    "humans.txt",
    "index.html",
    "manifest.json",
    "robots.txt",
    "security.txt",
    "site.webmanifest",
    "sitemap.xml",
];

/// Segments that only somebody asks for who looks for other software, or for its secrets.
const TRIPWIRES: [&str; 14] = [
    "actuator",
    "backup",
    "cgi-bin",
    "config.json",
    "id_rsa",
    "phpinfo",
    "phpmyadmin",
    "server-status",
    "vendor",
    "wp-admin",
    "wp-content",
    "wp-includes",
    "wp-json",
    "xmlrpc",
];

/// Endings of files that n8n never serves.
const FOREIGN: [&str; 14] = [
    ".asp", ".aspx", ".bak", ".cfg", ".cgi", ".env", ".ini", ".jsp", ".old", ".php", ".php7",
    ".sql", ".swp", ".yml",
];

/// Routes that n8n mounts for its own tests, one of which empties its database.
const FOR_TESTS: [&str; 3] = ["e2e", "debug", "instance-ai"];

impl Suspicion {
    /// What `path`, on `surface` with `tail` below it, tells of whoever asks for it; nothing for
    /// webhooks and their kind, whose names n8n's users make up.
    ///
    /// ```
    /// use gateway_n8n::{Surface, Suspicion};
    /// let of = |path| Suspicion::of(Surface::Editor, path, path);
    /// assert_eq!(of("/wp-login.php"), Some(Suspicion::Probe));
    /// assert_eq!(of("/workflow/new"), None);
    /// ```
    #[must_use]
    pub fn of(surface: Surface, path: &str, tail: &str) -> Option<Self> {
        match surface {
            Surface::Internal => is_in(&FOR_TESTS, first(tail)).then_some(Self::Attack),
            Surface::Editor => {
                let known = is_known(first(path)) && !path.split('/').any(is_tripwire);
                (!known).then_some(Self::Probe)
            }
            // What n8n serves there is known, and files of its nodes have any name.
            _ => path.split('/').any(is_hidden).then_some(Self::Probe),
        }
        .filter(|_| surface.row().tail != Tail::Secret)
    }
}

fn first(path: &str) -> &str {
    path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default()
}

fn is_in(list: &[&str], segment: &str) -> bool {
    list.iter().any(|it| it.eq_ignore_ascii_case(segment))
}

/// Whether the editor has a page that begins so, or browsers ask any site for it.
fn is_known(first: &str) -> bool {
    let begins =
        |with: &str| first.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    is_in(&PAGES, first)
        || is_in(&ASKED_ANYWHERE, first)
        || begins("apple-touch-icon")
        || begins("favicon")
}

fn is_hidden(segment: &str) -> bool {
    segment.starts_with('.') && segment.len() > 1 && !segment.eq_ignore_ascii_case(".well-known")
}

fn is_tripwire(segment: &str) -> bool {
    let ends = |with: &&str| {
        let start = segment.len().checked_sub(with.len());
        start.and_then(|at| segment.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(with))
    };
    is_hidden(segment) || FOREIGN.iter().any(ends) || is_in(&TRIPWIRES, segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoints, Surfaces};

    fn of(path: &str) -> Option<Suspicion> {
        let surfaces = Surfaces::new(&Endpoints::default());
        let located = surfaces.locate(path, false).unwrap();
        Suspicion::of(located.surface, path, located.tail)
    }

    #[test]
    fn what_scanners_ask_for_is_known() {
        for path in [
            "/.env",
            "/.git/config",
            "/wp-login.php",
            "/WP-ADMIN/setup",
            "/rest/.env",
            "/index.php",
            "/cgi-bin/luci",
            "/solr/admin",
            "/actuator/health",
            "/owa/auth",
            "/db.sql",
        ] {
            assert_eq!(of(path), Some(Suspicion::Probe), "{path}");
        }
        assert_eq!(of("/rest/e2e/reset"), Some(Suspicion::Attack));
        assert_eq!(of("/rest/instance-ai/test/reset"), Some(Suspicion::Attack));
    }

    #[test]
    fn what_n8n_and_browsers_ask_for_is_not_suspicious() {
        for path in [
            "/",
            "/signin",
            "/workflow/abc/executions",
            "/home/workflows",
            "/rest/login",
            "/rest/ph/e/",
            "/rest/telemetry/proxy/v1/track",
            "/api/v1/openapi.yml",
            "/api/v1/workflows",
            "/favicon.ico",
            "/favicon-32x32.png",
            "/apple-touch-icon.png",
            "/robots.txt",
            "/.well-known/security.txt",
            "/webhook/.env",
            "/webhook/wp-login.php",
            "/form/backup",
            "/assets/vendor-3f2a.js",
            "/icons/n8n-nodes-x/dist/nodes/vendor/x.old.svg",
            "/icons/n8n-nodes-x/backup/logo.cfg",
            "/webhook",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn every_example_of_the_surface_table_is_innocent() {
        for surface in Surface::all().filter(|it| *it != Surface::Internal) {
            for path in surface.row().examples {
                assert_eq!(Suspicion::of(surface, path, path), None, "{path}");
            }
        }
    }

    #[test]
    fn the_lists_are_sorted() {
        for list in [&PAGES[..], &ASKED_ANYWHERE, &TRIPWIRES, &FOREIGN] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
