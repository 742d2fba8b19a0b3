//! What n8n's own names of its parts mean: which surface a route is, and what may differ.

use std::collections::BTreeMap;

use gateway_n8n::Surface;

use super::n8n::Answer;

/// Every route of n8n and its surface, as a person has read it.
const ROUTES: &str = include_str!("../../../crates/n8n/tests/routes.golden");

/// What is mounted and is no route, or is written otherwise in the list of routes.
const MOUNTS: [(&str, Surface); 12] = [
    ("/api/v1", Surface::PublicApi),
    ("/api/v1/docs", Surface::PublicApi),
    ("/api/v1/openapi.yml", Surface::PublicApi),
    ("/chat", Surface::Chat),
    ("/credentials-overwrite", Surface::Internal),
    ("/form-waiting/:path{/:suffix}", Surface::FormWaiting),
    ("/icons/{@:scope/}:packageName/*path/*file.png", Surface::Assets),
    ("/icons/{@:scope/}:packageName/*path/*file.svg", Surface::Assets),
    ("/rest/push", Surface::Push),
    ("/schemas/:node/:version{/:resource}{/:operation}.json", Surface::Assets),
    ("/types/node-versions.json", Surface::Rest),
    ("/webhook-waiting/:path{/:suffix}", Surface::WebhookWaiting),
];

/// n8n's static files, the longest first.
const FILES: [(&str, Surface); 7] = [
    ("/static/n8n-logo.png", Surface::PageAssets),
    ("/static/og_image.png", Surface::PageAssets),
    ("/static/", Surface::Assets),
    ("/assets/", Surface::Assets),
    ("/favicon.ico", Surface::Assets),
    ("/index.html", Surface::Editor),
    ("/tree-sitter", Surface::Editor),
];

/// Whose a request is in n8n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Surface(Surface),
    /// n8n has nothing there, and says so.
    Nothing,
    Unknown,
}

impl Taken {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Surface(surface) => surface.name(),
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

/// What n8n may take a request for although it was decided to be something else.
pub(super) struct Excuse {
    pub(super) decided: Surface,
    kind: &'static str,
    /// The beginning of the pattern.
    pattern: &'static str,
    pub(super) because: &'static str,
}

/// None of them opens what is closed.
pub(super) const EXCUSES: [Excuse; 6] = [
    Excuse {
        decided: Surface::Editor,
        kind: "mount",
        pattern: "/chat",
        because: "a chat without a socket is an error of n8n's (500), whoever asks",
    },
    Excuse {
        decided: Surface::Editor,
        kind: "route",
        pattern: "/browser-use/",
        because: "n8n asks for a socket there (426), whoever asks",
    },
    Excuse {
        decided: Surface::Assets,
        kind: "middleware",
        pattern: "historyApiHandler",
        because: "the editor's page is as static as its bundles and tells less",
    },
    Excuse {
        decided: Surface::PublicApi,
        kind: "middleware",
        pattern: "historyApiHandler",
        because: "n8n checks paths of its API at /api/v1 alone: renamed, what it lacks is the page",
    },
    Excuse {
        decided: Surface::Editor,
        kind: "mount",
        pattern: "/oauth/authorize",
        because: "below this page n8n refuses methods (405) and does nothing else",
    },
    Excuse {
        decided: Surface::Editor,
        kind: "mount",
        pattern: "/mcp-oauth/authorize",
        because: "below that page n8n refuses methods (405) and does nothing else",
    },
];

impl Excuse {
    pub(super) fn taken(&self, answer: &Answer) -> bool {
        answer.kind == self.kind && answer.pattern.starts_with(self.pattern)
    }
}

/// The surfaces of n8n's patterns.
pub(super) struct Truth {
    patterns: BTreeMap<String, Surface>,
}

impl Truth {
    pub(super) fn new(renamed: &[(&str, &str, &str)]) -> Self {
        let defaults = [("public-api", "api"), ("health", "healthz")];
        let default = |key: &str| {
            let other = defaults.iter().find(|(it, _)| *it == key).map(|(_, name)| *name);
            other.unwrap_or(key).to_owned()
        };
        let mut names: Vec<(String, String)> =
            renamed.iter().map(|(key, _, to)| (default(key), (*to).to_owned())).collect();
        if !renamed.iter().any(|(key, ..)| *key == "credentials-overwrite") {
            names.push(("credentials-overwrite".to_owned(), "preset".to_owned()));
        }
        let moved = |pattern: &str| {
            let of = |(from, to): &(String, String)| {
                let rest = pattern.strip_prefix('/')?.strip_prefix(from.as_str())?;
                let whole = rest.is_empty() || rest.starts_with(['/', '{']);
                (whole || rest == "-slack" || rest == "-telegram").then(|| format!("/{to}{rest}"))
            };
            names.iter().find_map(of).unwrap_or_else(|| pattern.to_owned())
        };
        let routes = ROUTES.lines().map(|line| {
            let [surface, pattern, _] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("not `surface path methods`: {line}")
            };
            (moved(pattern), Surface::named(surface).unwrap())
        });
        let mounts = MOUNTS.iter().map(|(pattern, surface)| (moved(pattern), *surface));
        Self { patterns: routes.chain(mounts).collect() }
    }

    /// That there is nothing in n8n that nobody has read.
    pub(super) fn assert_knows(&self, patterns: &[String]) {
        assert!(patterns.len() > 400, "n8n has only {} routes", patterns.len());
        let unknown: Vec<_> = patterns.iter().filter(|it| self.of(it).is_none()).collect();
        assert!(unknown.is_empty(), "n8n has what is in no list: {unknown:?}");
    }

    /// The patterns of each surface.
    pub(super) fn groups(&self, patterns: &[String]) -> Vec<Vec<String>> {
        let of = |surface: Surface| {
            let its = patterns.iter().filter(|it| self.of(it) == Some(surface));
            its.cloned().collect::<Vec<_>>()
        };
        Surface::all().map(of).filter(|it| !it.is_empty()).collect()
    }

    fn of(&self, pattern: &str) -> Option<Surface> {
        self.patterns.get(pattern.strip_suffix('/').unwrap_or(pattern)).copied()
    }

    pub(super) fn taken(&self, answer: &Answer) -> Taken {
        let Answer { kind, pattern, status, .. } = answer;
        let surface = match (kind.as_str(), pattern.as_str()) {
            ("nothing" | "folder", _) | ("middleware", "error") => return Taken::Nothing,
            // Before n8n: Node refuses text in a query that is not encoded.
            ("parser", "HTTP/1.1-400-Bad-Request") => return Taken::Nothing,
            // What keeps strangers from the types answers no more than this.
            ("middleware", "<anonymous>") if status == "401" => return Taken::Nothing,
            ("middleware", "historyApiHandler") => Some(Surface::Editor),
            ("route" | "mount", pattern) => self.of(pattern),
            ("file", file) => {
                let of = FILES.iter().find(|(path, _)| file.starts_with(path));
                of.map(|(_, surface)| *surface)
            }
            ("socket", listener) => Surface::named(listener),
            _ => None,
        };
        surface.map_or(Taken::Unknown, Taken::Surface)
    }
}
