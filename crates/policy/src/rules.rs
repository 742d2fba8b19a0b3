//! Values by path below a surface; the longest path wins.

use std::borrow::Cow;

use gateway_n8n::{Surface, Tail};
use percent_encoding::percent_decode_str;

use crate::Source;

/// A segment of a webhook's path that stands for any one.
const ANY: &str = "*";

/// A value and the line it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<T> {
    /// The path below the surface it holds for; empty for the surface itself.
    pub path: String,
    /// The value.
    pub value: T,
    /// What made it.
    pub source: Source,
}

/// The rules of one surface.
#[derive(Clone, Debug)]
pub struct PathRules<T> {
    root: Rule<T>,
    /// Longest first.
    below: Vec<Rule<T>>,
}

/// A path that another reader would compare otherwise than n8n does, or that could be two webhooks'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoded;

impl<T> PathRules<T> {
    /// Rules with `value` for the whole surface.
    pub fn new(value: T, source: Source) -> Self {
        Self { root: Rule { path: String::new(), value, source }, below: Vec::new() }
    }

    /// Adds a rule for `path` (no slashes at its ends) and everything below it. A second rule for
    /// the same path replaces the first.
    pub fn insert(&mut self, path: &str, value: T, source: Source) {
        let rule = Rule { path: path.to_owned(), value, source };
        if path.is_empty() {
            self.root = rule;
            return;
        }
        self.below.retain(|other| other.path != path);
        self.below.push(rule);
        // Of two that are as long the one that names more of it comes first.
        self.below.sort_by_key(|rule| {
            let open = rule.path.split('/').filter(|it| *it == ANY).count();
            (std::cmp::Reverse(rule.path.split('/').count()), open)
        });
    }

    /// The rule of the whole surface.
    #[must_use]
    pub fn root(&self) -> &Rule<T> {
        &self.root
    }

    /// Every rule, the surface's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Rule<T>> {
        std::iter::once(&self.root).chain(&self.below)
    }

    /// The rule for `tail`, compared as n8n itself compares it on this surface: a webhook's name
    /// is decoded once and looked up as it is spelled; a route is matched undecoded, in any case.
    pub(crate) fn find(&self, surface: Surface, tail: &str) -> Result<&Rule<T>, Encoded> {
        if self.below.is_empty() {
            return Ok(&self.root);
        }
        let kind = surface.row().tail;
        let tail = match kind {
            Tail::Secret => percent_decode_str(tail).decode_utf8_lossy(),
            Tail::Plain => Cow::Borrowed(tail),
        };
        let mut found = None;
        for rule in &self.below {
            if is_below(kind, &rule.path, &tail)? {
                // Found in another order, it must not take away what a rule has for this very path.
                return if found.is_none() || !rule.path.contains('/') {
                    Ok(found.unwrap_or(rule))
                } else {
                    Err(Encoded)
                };
            }
            if found.is_none() && kind == Tail::Secret && is_below_dynamic(&rule.path, &tail) {
                found = Some(rule);
            }
        }
        Ok(found.unwrap_or(&self.root))
    }
}

/// A path below `surface` as n8n tells it from others: whoever spells it otherwise asks for the
/// same.
pub(crate) fn path_key(surface: Surface, tail: &str) -> String {
    let tail = tail.trim_end_matches('/');
    let tail = match surface.row().tail {
        Tail::Secret => percent_decode_str(tail).decode_utf8_lossy().into_owned(),
        Tail::Plain => tail.to_ascii_lowercase(),
    };
    format!("{}/{tail}", surface.name())
}

fn is_below(kind: Tail, path: &str, tail: &str) -> Result<bool, Encoded> {
    let mut segments = tail.split('/');
    for wanted in path.split('/') {
        let Some(segment) = segments.next() else { return Ok(false) };
        let same = match kind {
            Tail::Secret => segment == wanted || (wanted == ANY && !segment.is_empty()),
            Tail::Plain if segment.contains('%') => {
                let decoded = percent_decode_str(segment).decode_utf8_lossy();
                if decoded.eq_ignore_ascii_case(wanted) {
                    return Err(Encoded);
                }
                false
            }
            Tail::Plain => segment.eq_ignore_ascii_case(wanted),
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `tail` could be the webhook of `path` if that is a dynamic one: its first segment is the
/// webhook's own id, and n8n looks for the others in any order among those of the request
/// (`webhooks/webhook.service.js`, `pickMatchingTemplate`).
///
/// The editor makes ids that are UUIDs; whoever imports a workflow may have written any. Such a path is
/// told by what stands for its parameters: one without any could be a webhook's of that very path, and
/// what has its segments in another order another webhook.
fn is_below_dynamic(path: &str, tail: &str) -> bool {
    // One slash at its end is not n8n's concern; what is between two of them is an empty parameter.
    let tail = tail.strip_suffix('/').unwrap_or(tail);
    let (mut wanted, mut given) = (path.split('/'), tail.split('/'));
    let (id, asked) = (wanted.next().unwrap_or_default(), given.next().unwrap_or_default());
    let wanted: Vec<&str> = wanted.collect();
    let given: Vec<&str> = given.collect();
    let is_uuid = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    // n8n wants as many segments as its template has; what is below a rule has more.
    let is_dynamic = is_uuid || (wanted.contains(&ANY) && given.len() >= wanted.len());
    id != ANY
        && id == asked
        && is_dynamic
        && wanted.iter().filter(|it| **it != ANY).all(|it| given.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PathRules<u8> {
        let mut rules = PathRules::new(0, Source::Default);
        rules.insert("a", 1, Source::Default);
        rules.insert("a/b", 2, Source::Default);
        rules
    }

    fn find(surface: Surface, tail: &str) -> Result<u8, Encoded> {
        rules().find(surface, tail).map(|rule| rule.value)
    }

    #[test]
    fn the_longest_path_wins_at_whole_segments() {
        for (tail, value) in [("", 0), ("a", 1), ("a/b", 2), ("a/b/c", 2), ("a/bc", 1), ("ab", 0)] {
            assert_eq!(find(Surface::Rest, tail), Ok(value), "{tail}");
            assert_eq!(find(Surface::Webhook, tail), Ok(value), "{tail}");
        }
    }

    #[test]
    fn a_webhook_is_compared_decoded_and_as_spelled() {
        assert_eq!(find(Surface::Webhook, "%61"), Ok(1));
        assert_eq!(find(Surface::Webhook, "a%2Fb"), Ok(2));
        assert_eq!(find(Surface::Webhook, "A"), Ok(0));
    }

    #[test]
    fn a_dynamic_webhook_is_found_however_its_segments_are_ordered() {
        let id = "77777777-7777-4777-8777-777777777777";
        let mut rules = PathRules::new(0, Source::Default);
        rules.insert(&format!("{id}/user"), 1, Source::Default);
        for (rest, value) in [("user/5", 1), ("5/user", 1), ("%2F%2Fuser", 1), ("5", 0), ("", 0)] {
            let found = rules.find(Surface::Webhook, &format!("{id}/{rest}"));
            assert_eq!(found.map(|rule| rule.value), Ok(value), "{rest}");
        }
        rules.insert(&format!("{id}/order/*"), 2, Source::Default);
        for (rest, value) in [("order/5", 2), ("5/order", 2), ("5/user", 1), ("5", 0)] {
            let found = rules.find(Surface::Webhook, &format!("{id}/{rest}"));
            assert_eq!(found.map(|rule| rule.value), Ok(value), "{rest}");
        }
        assert_eq!(find(Surface::Webhook, "b/a"), Ok(0), "a static one is its own path alone");
    }

    #[test]
    fn so_is_one_whose_id_somebody_has_made_up() {
        let mut rules = PathRules::new(0, Source::Default);
        rules.insert("my-hook/user/*", 1, Source::Default);
        rules.insert("my-hook/user/*/of/*", 2, Source::Default);
        for (tail, value) in [
            ("my-hook/user/5", 1),
            ("my-hook/5/user", 1),
            ("my-hook/5%2Fuser", 1),
            ("my-hook/5/6/user/7", 1),
            ("my-hook/of/5/6/user", 2),
            ("my-hook/user", 0),
            ("my-hook/5/order", 0),
            ("my-hook/%2Fuser", 1),
            ("my-hook/user//", 1),
            ("my-hook/user/", 0),
            ("other/5/user", 0),
        ] {
            let found = rules.find(Surface::Webhook, tail).map(|rule| rule.value);
            assert_eq!(found, Ok(value), "{tail}");
        }
    }

    #[test]
    fn another_order_takes_no_path_from_its_own_rule() {
        let mut rules = PathRules::new(0, Source::Default);
        rules.insert("hooks/public/*", 1, Source::Default);
        rules.insert("hooks/internal", 2, Source::Default);
        rules.insert("hooks", 3, Source::Default);
        for (tail, value) in [
            ("hooks/public/5", Ok(1)),
            ("hooks/public/internal", Ok(1)),
            ("hooks/5/public", Ok(1)),
            ("hooks/internal/5", Ok(2)),
            ("hooks/internal/public", Err(Encoded)),
            ("hooks/5", Ok(3)),
        ] {
            let found = rules.find(Surface::Webhook, tail).map(|rule| rule.value);
            assert_eq!(found, value, "{tail}");
        }
    }

    #[test]
    fn a_star_stands_for_one_segment_of_a_webhook() {
        let mut rules = PathRules::new(0, Source::Default);
        for (path, value) in [("*/chat", 1), ("a/*", 2), ("a/chat", 3), ("*", 4)] {
            rules.insert(path, value, Source::Default);
        }
        for (tail, value) in [("x/chat", 1), ("a/x", 2), ("a/chat", 3), ("x/y", 4), ("", 0)] {
            let found = rules.find(Surface::Webhook, tail).map(|rule| rule.value);
            assert_eq!(found, Ok(value), "{tail}");
        }
        assert_eq!(rules.find(Surface::Rest, "x/chat").map(|rule| rule.value), Ok(0));
    }

    #[test]
    fn a_route_is_compared_in_any_case_and_never_decoded() {
        assert_eq!(find(Surface::Rest, "A/B"), Ok(2));
        assert_eq!(find(Surface::Rest, "%61"), Err(Encoded));
        assert_eq!(find(Surface::Rest, "x/%61"), Ok(0));
    }
}
