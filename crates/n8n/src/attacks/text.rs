//! What can be said of a text.

use std::{borrow::Cow, fmt};

/// Something that is true of a text, or not.
#[derive(Clone)]
pub enum Text {
    /// It is one of these.
    OneOf(Vec<Cow<'static, str>>),
    /// It has one of these in it; letters of ASCII in any case.
    Contains(Vec<Cow<'static, str>>),
    /// It begins with one of these; letters of ASCII in any case.
    Begins(Vec<Cow<'static, str>>),
    /// It has more bytes.
    Longer(usize),
    /// A question that has a name of its own.
    Is(&'static str, fn(&str) -> bool),
}

impl Text {
    /// Whether it is true of `text`.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::OneOf(all) => all.iter().any(|it| it == text),
            Self::Contains(any) => any.iter().any(|it| contains(text, it)),
            Self::Begins(any) => any.iter().any(|it| begins(text, it)),
            Self::Longer(than) => text.len() > *than,
            Self::Is(_, holds) => holds(text),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(all) => write!(f, "one of {all:?}"),
            Self::Contains(any) => write!(f, "with one of {any:?} in it"),
            Self::Begins(any) => write!(f, "beginning with one of {any:?}"),
            Self::Longer(than) => write!(f, "longer than {than}"),
            Self::Is(name, _) => f.write_str(name),
        }
    }
}

/// Whether `text` begins with `with`, letters of ASCII in any case.
pub(super) fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn contains(text: &str, what: &str) -> bool {
    let first = what.bytes().next();
    let starts = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| first.is_none_or(|first| byte.eq_ignore_ascii_case(&first)));
    starts.map(|(at, _)| at).any(|at| text.get(at..).is_some_and(|rest| begins(rest, what)))
}

/// A name of a file that leads out of the folder it is put in: with a segment `..`. Source:
/// CVE-2026-25055. `a..b.pdf` and `..pdf` are names like others. So is an absolute one: formidable gives
/// files names of its own and keeps this one as a label, which n8n's nodes put behind a folder
/// (`formidable` 3.5.4, `_getNewName`; `Ssh.node.js`).
pub(super) const TRAVERSAL: Text = Text::Is("a file name that leads elsewhere", |name| {
    let mut segments = name.split(['/', '\\']);
    name.contains('\0') || segments.any(|it| it.trim() == "..")
});

/// A file's whole path, as programs send it that do not cut it: of Unix or of Windows.
pub(super) const ABSOLUTE: Text = Text::Is("a file's whole path", |name| {
    let name = name.trim();
    let has_drive =
        matches!(name.as_bytes(), [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic());
    name.starts_with(['/', '\\']) || has_drive
});

/// What n8n would evaluate: something between two pairs of braces.
pub(super) const EXPRESSION: Text = Text::Is("an expression", |text| {
    text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}"))
});

/// An id of a node or a webhook.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    let fits = |length: &usize| {
        parts
            .next()
            .is_some_and(|it| it.len() == *length && it.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    groups.iter().all(fits) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart() {
        let one = |it: &'static str| vec![Cow::Borrowed(it)];
        for (text, given, holds) in [
            (Text::OneOf(one("a")), "a", true),
            (Text::OneOf(one("a")), "A", false),
            (Text::Contains(one("javascript:")), "x JavaScript:y", true),
            (Text::Contains(one("<")), "\u{e4}<", true),
            (Text::Contains(one("<")), "", false),
            (Text::Begins(one("http:")), "HTTP://x", true),
            (Text::Begins(one("http:")), "h", false),
            (Text::Longer(2), "abc", true),
            (Text::Longer(3), "abc", false),
            (TRAVERSAL, "../../x", true),
            (TRAVERSAL, "a\\..\\b", true),
            (TRAVERSAL, "/etc/passwd", false),
            (TRAVERSAL, "C:\\..\\x", true),
            (ABSOLUTE, "/etc/passwd", true),
            (ABSOLUTE, "C:\\Users\\me\\x.pdf", true),
            (ABSOLUTE, "\\\\server\\x", true),
            (ABSOLUTE, "c: d.pdf", false),
            (ABSOLUTE, "folder/x", false),
            (TRAVERSAL, "report..v2.pdf", false),
            (TRAVERSAL, "..pdf", false),
            (TRAVERSAL, "folder/file.txt", false),
            (EXPRESSION, "={{ $env }}", true),
            (EXPRESSION, "}} {{", false),
        ] {
            assert_eq!(text.holds(given), holds, "{text:?} {given}");
        }
        assert!(is_uuid("77777777-7777-4777-8777-777777777777"));
        assert!(!is_uuid("77777777-7777-4777-8777-77777777777"));
        assert!(!is_uuid("77777777-7777-4777-8777-777777777777-"));
    }
}
