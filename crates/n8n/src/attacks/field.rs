//! Places in a body: `nodes.*.type`.

use std::{borrow::Cow, str::FromStr};

/// A place in a body: names of fields, `*` for any field or element of a list, and `**` in front for
/// "at any depth".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    anywhere: bool,
    names: Vec<Cow<'static, str>>,
}

/// What is no place in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a field is written as `name`, `list.*.name` or `**.name`")]
pub struct InvalidField;

impl FromStr for FieldPath {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        let (anywhere, rest) = text.strip_prefix("**.").map_or((false, text), |rest| (true, rest));
        let names: Vec<Cow<'static, str>> =
            rest.split('.').map(|it| Cow::Owned(it.to_owned())).collect();
        let wrong = names.iter().any(|it| it.is_empty() || it == "**");
        if wrong { Err(InvalidField) } else { Ok(Self { anywhere, names }) }
    }
}

impl FieldPath {
    /// Whether this is where `trail` has led.
    pub(super) fn is_at(&self, trail: &Trail) -> bool {
        let Some(above) = trail.depth().checked_sub(self.names.len()) else { return false };
        // The last name tells most of them apart.
        let mut names = self.names.iter().enumerate().rev();
        (self.anywhere || above == 0)
            && names.all(|(at, name)| name == "*" || trail.name(above + at) == name)
    }
}

/// The way from a body's root to where its reader is. An element of a list has an empty name.
#[derive(Debug, Default)]
pub(super) struct Trail {
    names: String,
    ends: Vec<usize>,
}

impl Trail {
    pub(super) fn depth(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    fn name(&self, at: usize) -> &str {
        let end = self.ends.get(at).copied().unwrap_or(0);
        self.names.get(self.start(at)..end).unwrap_or_default()
    }

    /// The name of the innermost field.
    pub(super) fn last(&self) -> &str {
        self.depth().checked_sub(1).map_or("", |at| self.name(at))
    }

    pub(super) fn enter(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push(self.names.len());
    }

    pub(super) fn leave(&mut self) {
        self.ends.pop();
        self.names.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_name() {
        for (path, trail, is_at) in [
            ("a", "a", true),
            ("a", "a.b", false),
            ("a", "b.a", false),
            ("files.*.filepath", "files.x.filepath", true),
            ("files.*.filepath", "files..filepath", true),
            ("files.*.filepath", "files.filepath", false),
            ("**.__proto__", "__proto__", true),
            ("**.__proto__", "a.b.__proto__", true),
            ("**.__proto__", "a.__proto__x", false),
            ("**.nodes.*.type", "nodes..type", true),
            ("**.nodes.*.type", "x.nodes..type", true),
            ("**.nodes.*.type", "nodes.type", false),
        ] {
            let mut gone = Trail::default();
            trail.split('.').for_each(|name| gone.enter(name));
            let path: FieldPath = path.parse().unwrap();
            assert_eq!(path.is_at(&gone), is_at, "{path:?} {trail}");
        }
        for wrong in ["", "a.", ".a", "a.**", "**"] {
            assert_eq!(wrong.parse::<FieldPath>(), Err(InvalidField), "{wrong}");
        }
    }

    #[test]
    fn a_trail_leads_back() {
        let mut trail = Trail::default();
        trail.enter("a");
        trail.enter("");
        trail.enter("bc");
        assert_eq!((trail.depth(), trail.last()), (3, "bc"));
        trail.leave();
        trail.leave();
        assert_eq!((trail.depth(), trail.last()), (1, "a"));
        trail.leave();
        trail.leave();
        assert_eq!((trail.depth(), trail.last()), (0, ""));
    }
}
