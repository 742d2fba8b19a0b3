//! From a request's path to its surface, as n8n itself routes it.
//!
//! n8n (Express 5) matches prefixes without regard to case, accepts one trailing slash, and
//! neither decodes nor normalises a path before it matches. What another reader of the same path
//! could see differently is not classified at all: it is an [`Ambiguity`].

use crate::{Endpoints, Mount, Root, Row, Surface, Upgrade};

/// Why a path has no surface: n8n and another reader could route it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// The target is not a path (`*`, an authority).
    #[error("the target does not begin with a slash")]
    NotAPath,
    /// `//`: other readers merge the slashes.
    #[error("an empty segment")]
    EmptySegment,
    /// `.` or `..`, spelled out or encoded: other readers resolve it.
    #[error("a dot segment")]
    DotSegment,
    /// Other readers take it for a slash.
    #[error("a backslash")]
    Backslash,
    /// Other readers cut path parameters off.
    #[error("a semicolon")]
    Semicolon,
    /// Other readers end the path there.
    #[error("a NUL")]
    Nul,
    /// An encoded line end: what n8n compares up to its line's end, others read further.
    #[error("an encoded line end")]
    LineEnd,
    /// Outside of visible ASCII, which a path is made of (RFC 3986 3.3).
    #[error("a byte that is not visible ASCII")]
    Byte,
    /// Spelled otherwise than n8n spells it, where some of n8n takes that for the same.
    #[error("a segment that is spelled otherwise than n8n spells it")]
    Case,
    /// Encoded where the surface is decided: n8n compares undecoded, other readers decode first.
    #[error("an encoded character where the surface is decided")]
    Encoded,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located<'p> {
    /// The surface.
    pub surface: Surface,
    /// What follows the surface's first segment, undecoded, without slashes at its ends; the
    /// whole path where that segment neither can be renamed nor is called as the surface is.
    pub tail: &'p str,
    /// Whether n8n answers `Upgrade: websocket` at this path.
    pub upgrade: bool,
}

/// The surface table, mounted at this n8n's endpoints.
#[derive(Clone, Debug)]
pub struct Surfaces {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: Vec<(String, usize)>,
    any: Option<usize>,
    here: Option<Hit>,
    below: Option<Hit>,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    surface: Surface,
    upgrade: Upgrade,
    as_spelled: bool,
    /// How many segments stand before the tail.
    root: usize,
}

const EDITOR: Hit =
    Hit { surface: Surface::Editor, upgrade: Upgrade::Never, as_spelled: false, root: 0 };

impl Surfaces {
    /// Mounts the table at `endpoints`.
    #[must_use]
    pub fn new(endpoints: &Endpoints) -> Self {
        let mut surfaces = Self { nodes: vec![Node::default()] };
        let mounts = || Surface::all().map(Surface::row).flat_map(mounts_of);
        // Exact mounts first, so that a `**` never claims a path that has a row of its own.
        for (row, mount) in mounts().filter(|(_, mount)| !mount.path.ends_with("**")) {
            surfaces.mount(row, mount, endpoints);
        }
        for (row, mount) in mounts().filter(|(_, mount)| mount.path.ends_with("**")) {
            surfaces.mount(row, mount, endpoints);
        }
        surfaces
    }

    fn mount(&mut self, row: &Row, mount: &Mount, endpoints: &Endpoints) {
        let Some(pattern) = endpoints.pattern(mount) else { return };
        let segment = endpoints.segment(mount.root);
        // A fixed root counts as one if it is called as its surface is (`chat`, `mcp-server`).
        let named = mount.path.split('/').next() == Some(row.name) && mount.root == Root::Fixed;
        let root = if segment.is_empty() { usize::from(named) } else { segment.split('/').count() };
        let Mount { upgrade, as_spelled, .. } = *mount;
        let hit = Hit { surface: row.surface, upgrade, as_spelled, root };

        let (stem, deep) = match pattern.strip_suffix("/**") {
            Some(stem) => (stem, true),
            None => (pattern.as_str(), false),
        };
        let at = stem.split('/').fold(0, |at, part| self.child(at, part));
        if let Some(node) = self.nodes.get_mut(at) {
            node.here = node.here.or(Some(hit));
            if deep {
                node.below = Some(hit);
            }
        }
    }

    /// The node below `at` for one pattern segment, made if it is not there.
    fn child(&mut self, at: usize, part: &str) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        if part == "*" {
            if let Some(any) = node.any {
                return any;
            }
            node.any = Some(new);
        } else {
            if let Some((_, next)) = node.literals.iter().find(|(it, _)| it == part) {
                return *next;
            }
            node.literals.push((part.to_owned(), new));
        }
        self.nodes.push(Node::default());
        new
    }

    /// Finds the surface of `path` (without its query). `upgrade` says whether the request asks
    /// for a WebSocket: some surfaces exist for those only.
    ///
    /// # Errors
    ///
    /// A path that n8n and another reader could route differently.
    pub fn locate<'p>(&self, path: &'p str, upgrade: bool) -> Result<Located<'p>, Ambiguity> {
        let inner = unambiguous(path)?;
        let (found, spelled) = self.walk(inner.trimmed)?;
        if found.as_spelled && !spelled {
            return Err(Ambiguity::Case);
        }
        let answers = match found.upgrade {
            Upgrade::Never => false,
            Upgrade::Exactly => spelled && !inner.slash,
            Upgrade::Only => spelled,
        };
        let found = match found.upgrade {
            Upgrade::Only if !(upgrade && answers) => EDITOR,
            Upgrade::Only | Upgrade::Exactly | Upgrade::Never => found,
        };
        let upgrade = answers && found.surface != Surface::Editor;
        Ok(Located { surface: found.surface, tail: after(inner.trimmed, found.root), upgrade })
    }

    /// The deepest hit, and whether every literal on the way was spelled as n8n spells it.
    fn walk(&self, path: &str) -> Result<(Hit, bool), Ambiguity> {
        let (mut at, mut found, mut spelled) = (0, EDITOR, true);
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        loop {
            let Some(node) = self.nodes.get(at) else { return Ok((found, spelled)) };
            let Some(segment) = segments.next() else {
                return Ok((node.here.unwrap_or(found), spelled));
            };
            found = node.below.unwrap_or(found);
            if !node.literals.is_empty() && segment.contains('%') {
                return Err(Ambiguity::Encoded);
            }
            let literal = node.literals.iter().find(|(it, _)| it.eq_ignore_ascii_case(segment));
            let Some(next) = literal.map(|(_, next)| *next).or(node.any) else {
                return Ok((found, spelled));
            };
            spelled &= literal.is_none_or(|(it, _)| it == segment);
            at = next;
        }
    }
}

fn mounts_of(row: &'static Row) -> impl Iterator<Item = (&'static Row, &'static Mount)> {
    row.mounts.iter().map(move |mount| (row, mount))
}

struct Inner<'p> {
    /// The path without the slashes at its ends.
    trimmed: &'p str,
    /// Whether it ended in one.
    slash: bool,
}

/// Checks what must hold for a path before anybody compares it with anything.
fn unambiguous(path: &str) -> Result<Inner<'_>, Ambiguity> {
    let rest = path.strip_prefix('/').ok_or(Ambiguity::NotAPath)?;
    for byte in rest.bytes() {
        match byte {
            b'\\' => return Err(Ambiguity::Backslash),
            b';' => return Err(Ambiguity::Semicolon),
            0 => return Err(Ambiguity::Nul),
            0x21..=0x7e => {}
            _ => return Err(Ambiguity::Byte),
        }
    }
    let trimmed = rest.strip_suffix('/').unwrap_or(rest);
    if rest == "/" || (!trimmed.is_empty() && trimmed.split('/').any(str::is_empty)) {
        return Err(Ambiguity::EmptySegment);
    }
    if trimmed.split('/').flat_map(decoded_parts).any(is_dotted) {
        return Err(Ambiguity::DotSegment);
    }
    if trimmed.contains("%00") {
        return Err(Ambiguity::Nul);
    }
    if LINE_ENDS.iter().any(|end| has_ignoring_case(trimmed, end)) {
        return Err(Ambiguity::LineEnd);
    }
    Ok(Inner { trimmed, slash: trimmed.len() < rest.len() })
}

/// What ends a line in ECMAScript (ECMA-262 12.3), encoded: n8n gives whatever has one its page, for
/// the regular expression by which it knows its other paths stops there (`server.js`).
const LINE_ENDS: [&str; 4] = ["%0a", "%0d", "%e2%80%a8", "%e2%80%a9"];

fn has_ignoring_case(text: &str, wanted: &str) -> bool {
    let mut windows = text.as_bytes().windows(wanted.len());
    text.contains('%') && windows.any(|it| it.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// What a segment falls into for readers who decode slashes and backslashes: n8n itself does
/// before it serves the editor's page or a static file (`utils/request-path.js`, `send`).
fn decoded_parts(segment: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(segment);
    std::iter::from_fn(move || {
        let whole = rest?;
        let at = whole.match_indices('%').map(|(at, _)| at).find(|at| {
            let encoded = whole.get(at + 1..at + 3).unwrap_or_default();
            encoded.eq_ignore_ascii_case("2f") || encoded.eq_ignore_ascii_case("5c")
        });
        let (part, after) = match at.and_then(|at| whole.split_at_checked(at)) {
            Some((part, after)) => (part, after.get(3..)),
            None => (whole, None),
        };
        rest = after;
        Some(part)
    })
}

/// Whether a segment is `.` or `..`, spelled out or encoded: URL parsers resolve both alike
/// (WHATWG URL, "single-dot" and "double-dot" URL path segments). n8n drops spaces after them.
fn is_dotted(segment: &str) -> bool {
    let (mut dots, mut rest) = (0, segment);
    while let Some(shorter) = rest.strip_suffix("%20") {
        rest = shorter;
    }
    while !rest.is_empty() {
        let shorter = rest.strip_prefix('.').or_else(|| {
            rest.split_at_checked(3).and_then(|(e, r)| e.eq_ignore_ascii_case("%2e").then_some(r))
        });
        match shorter {
            Some(shorter) if dots < 2 => (dots, rest) = (dots + 1, shorter),
            Some(_) | None => return false,
        }
    }
    dots > 0
}

/// What follows the first `segments` segments of `path`.
fn after(path: &str, segments: usize) -> &str {
    (0..segments).fold(path, |rest, _| rest.split_once('/').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn locate(path: &str) -> Result<Surface, Ambiguity> {
        Surfaces::new(&Endpoints::default()).locate(path, false).map(|it| it.surface)
    }

    #[test]
    fn every_example_is_on_its_own_surface_in_any_case_and_with_a_slash() {
        let surfaces = Surfaces::new(&Endpoints::default());
        for row in Surface::all().map(Surface::row) {
            let asks = row.mounts.first().is_some_and(|mount| mount.upgrade == Upgrade::Only);
            for example in row.examples {
                let mut spellings = vec![(*example).to_owned()];
                let exact = row.mounts.iter().any(|mount| mount.as_spelled);
                if !asks && !exact {
                    spellings.push(example.to_uppercase());
                }
                if *example != "/" && !asks {
                    spellings.push(format!("{example}/"));
                }
                for path in spellings {
                    let found = surfaces.locate(&path, asks).map(|it| it.surface);
                    assert_eq!(found, Ok(row.surface), "{path}");
                }
            }
        }
    }

    #[test]
    fn ambiguous_paths_have_no_surface() {
        let cases = [
            ("*", Ambiguity::NotAPath),
            ("//rest/settings", Ambiguity::EmptySegment),
            ("/rest//settings", Ambiguity::EmptySegment),
            ("/webhook/a//", Ambiguity::EmptySegment),
            ("//", Ambiguity::EmptySegment),
            ("/./rest/settings", Ambiguity::DotSegment),
            ("/x/../rest/settings", Ambiguity::DotSegment),
            ("/webhook/%2E%2e/x", Ambiguity::DotSegment),
            ("/webhook/.%2e", Ambiguity::DotSegment),
            ("/x/..%2Fstatic/n8n-logo.png", Ambiguity::DotSegment),
            ("/x%2f..", Ambiguity::DotSegment),
            ("/rest/a%5c%2e%2E%5Cb", Ambiguity::DotSegment),
            ("/types/..%2f", Ambiguity::DotSegment),
            ("/rest/..%20", Ambiguity::DotSegment),
            ("/rest\\settings", Ambiguity::Backslash),
            ("/rest/settings;a", Ambiguity::Semicolon),
            ("/webhook/a%00b", Ambiguity::Nul),
            ("/API/v1/workflows", Ambiguity::Case),
            ("/api/V1/workflows/", Ambiguity::Case),
            ("/preset/%0a", Ambiguity::LineEnd),
            ("/rest/projects/p/agents/v2/a/webhooks/%0D", Ambiguity::LineEnd),
            ("/form/a%E2%80%A8", Ambiguity::LineEnd),
            ("/rest/%73ettings", Ambiguity::Encoded),
            ("/%72est/settings", Ambiguity::Encoded),
            ("/rest/settings%2f", Ambiguity::Encoded),
            ("/webh%6fok/x", Ambiguity::Encoded),
            ("/webhook/\u{e9}", Ambiguity::Byte),
        ];
        for (path, why) in cases {
            assert_eq!(locate(path), Err(why), "{path}");
        }
    }

    #[test]
    fn encoding_in_a_tail_passes() {
        for path in [
            "/webhook/a%2Fb",
            "/webhook/%2f%2Fa..%2F..b%",
            "/webhook/caf%C3%A9/%zz",
            "/webhook/..a/...",
            "/form/a%20b",
            "/form/%20",
        ] {
            let surface = locate(path);
            assert!(matches!(surface, Ok(Surface::Webhook | Surface::Form)), "{path}: {surface:?}");
        }
        assert_eq!(locate("/rest/community-node-types/@a%2fb"), Ok(Surface::Rest));
    }

    #[test]
    fn renamed_segments_move_the_surface_and_free_the_old_name() {
        let mut endpoints = Endpoints::default();
        endpoints.rename("webhook", "hooks/in").unwrap();
        endpoints.rename("rest", "internal").unwrap();
        endpoints.rename("credentials-overwrite", "preset").unwrap();
        let surfaces = Surfaces::new(&endpoints);
        let of = |path| surfaces.locate(path, false).map(|it| (it.surface, it.tail.to_owned()));
        assert_eq!(of("/Hooks/IN/a/b"), Ok((Surface::Webhook, "a/b".to_owned())));
        assert_eq!(of("/internal/login"), Ok((Surface::SignIn, "login".to_owned())));
        assert_eq!(of("/preset"), Ok((Surface::Internal, String::new())));
        assert_eq!(of("/webhook/a"), Ok((Surface::Editor, "webhook/a".to_owned())));
        assert_eq!(of("/rest/login"), Ok((Surface::Editor, "rest/login".to_owned())));
    }

    #[test]
    fn what_n8n_answers_with_its_page_is_the_editors() {
        // Somebody may have opened the OAuth server to anyone, and the editor to nobody.
        for path in ["/mcp-oauth", "/mcp-oauth/x", "/oauth/consent", "/oauth/authorize/x"] {
            assert_eq!(locate(path), Ok(Surface::Editor), "{path}");
        }
        for path in ["/mcp-oauth/register/x", "/mcp-oauth/token", "/oauth/authorize/"] {
            assert_eq!(locate(path), Ok(Surface::OauthServer), "{path}");
        }
    }

    #[test]
    fn upgrades_are_answered_only_where_n8n_does() {
        let surfaces = Surfaces::new(&Endpoints::default());
        let cases = [
            ("/rest/push", Surface::Push, true),
            ("/rest/push/", Surface::Push, false),
            ("/REST/push", Surface::Push, false),
            ("/rest/push/x", Surface::Push, false),
            ("/chat", Surface::Chat, true),
            ("/chat/x", Surface::Chat, true),
            ("/CHAT", Surface::Editor, false),
            ("/chatfoo", Surface::Editor, false),
            ("/browser-use/cdp/1", Surface::BrowserUse, true),
            ("/browser-use", Surface::Editor, false),
            ("/webhook/x", Surface::Webhook, false),
            ("/rest/settings", Surface::Rest, false),
        ];
        for (path, surface, upgrade) in cases {
            let found = surfaces.locate(path, true).map(|it| (it.surface, it.upgrade));
            assert_eq!(found, Ok((surface, upgrade)), "{path}");
        }
        // A plain request there is no chat: it must not pass for one.
        assert_eq!(locate("/chat"), Ok(Surface::Editor));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_changes_with_case(path in "/[ -~]{0,40}") {
            let surfaces = Surfaces::new(&Endpoints::default());
            let lower = path.to_ascii_lowercase();
            let surface = |path| surfaces.locate(path, false).map(|it| it.surface);
            if surface(&path) != Err(Ambiguity::Case) {
                prop_assert_eq!(surface(&path), surface(&lower));
            }
        }
    }
}
