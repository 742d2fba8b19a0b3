//! n8n's releases: how they are ordered, which of them an advisory is about, and where a running
//! n8n says which one it is.
//!
//! n8n mends several lines of releases at once, so that a higher number need not be a mended one:
//! 1.123.83 may be safe from what 2.41.3 is not.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

/// A release of n8n. Releases are ordered by age within their line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// 2 in 2.40.7.
    pub major: u32,
    /// 40 in 2.40.7.
    pub minor: u32,
    /// 7 in 2.40.7.
    pub patch: u32,
    /// Whether it is the release itself and no `-rc.0` of it, which is older.
    pub done: bool,
}

/// What is no release of n8n, or no list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRelease {
    /// No release.
    #[error("`{0}` is no release of n8n; write `2.40.7`")]
    Release(String),
    /// No range of releases.
    #[error(
        "`{0}` is no range of releases; write `<1.123.83`, `2.x <2.41.4`, `>=2.1.0 <2.3.0` or `2.42.0`"
    )]
    Range(String),
    /// It would take in the lines before it, and what was mended there.
    #[error("`{0}` takes in every line before it; say where it begins, as in `2.x {0}`")]
    Beginning(String),
    /// There is nothing in it.
    #[error("`{0}` is no release at all")]
    Empty(String),
}

impl Release {
    /// A release.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, done: true }
    }

    /// The release that the page of an n8n names: any page of its editor, the one to sign in with
    /// among them, has it for the browser's reports of errors.
    ///
    /// Source: n8n 2.40.7 `commands/start.js`: a `<meta name="n8n:config:sentry" content="…">` whose
    /// content is Base64 of JSON with a field `release`. Nothing if there is none, or none that can
    /// be read.
    #[must_use]
    pub fn of_page(html: &str) -> Option<Self> {
        const FIELD: &str = "n8n:config:sentry";
        let (before, after) = html.split_once(FIELD)?;
        let (_, start) = before.rsplit_once('<')?;
        let (end, _) = after.split_once('>')?;
        // The two attributes may stand in either order.
        let attribute = [start, end].into_iter().find_map(|it| it.split_once("content=\""))?;
        let (content, _) = attribute.1.split_once('"')?;
        let json = STANDARD.decode(content).ok()?;
        let said: serde_json::Value = serde_json::from_slice(&json).ok()?;
        said.get("release")?.as_str()?.parse().ok()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch, done } = self;
        write!(f, "{major}.{minor}.{patch}{}", if *done { "" } else { "-pre" })
    }
}

impl FromStr for Release {
    type Err = InvalidRelease;

    /// Reads `2.40.7`, `n8n@2.40.7` and `2.41.0-rc.1`.
    fn from_str(text: &str) -> Result<Self, InvalidRelease> {
        let invalid = || InvalidRelease::Release(text.to_owned());
        let bare = text.trim();
        let bare = bare.strip_prefix("n8n@").unwrap_or(bare);
        // What follows a `+` tells builds of one release apart.
        let bare = bare.split_once('+').map_or(bare, |(release, _)| release);
        let (numbers, done) =
            bare.split_once('-').map_or((bare, true), |(numbers, _)| (numbers, false));
        let mut parts = numbers.split('.').map(number);
        let mut part = || parts.next().flatten().ok_or_else(invalid);
        let (major, minor, patch) = (part()?, part()?, part()?);
        if parts.next().is_some() { Err(invalid()) } else { Ok(Self { major, minor, patch, done }) }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() < 8 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The releases that something is true of, such as a flaw: a range for each line of releases.
///
/// ```
/// use gateway_n8n::Affected;
/// let affected: Affected = "<1.123.83, 2.x <2.41.4, 2.42.0".parse()?;
/// assert!(affected.contains("2.40.7".parse()?));
/// assert!(!affected.contains("1.123.83".parse()?));
/// # Ok::<(), gateway_n8n::InvalidRelease>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    ranges: Vec<Range>,
    text: String,
}

/// From a release on, until one that is no longer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: Release,
    until: Release,
}

/// Before every release, a first candidate of 0.0.0 among them.
const FIRST: Release = Release { major: 0, minor: 0, patch: 0, done: false };

/// After every release.
const LAST: Release = Release::new(u32::MAX, 0, 0);

impl Affected {
    /// Every release.
    #[must_use]
    pub fn all() -> Self {
        Self { ranges: vec![Range { from: FIRST, until: LAST }], text: "*".to_owned() }
    }

    /// Whether it is true of `release`.
    #[must_use]
    pub fn contains(&self, release: Release) -> bool {
        self.ranges.iter().any(|range| range.from <= release && release < range.until)
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Affected {
    type Err = InvalidRelease;

    /// Reads ranges with commas between them: `<1.123.83` is everything before, `2.x <2.41.4` what
    /// is before in a line, `>=1.65.0 <1.121.0` what is between, `2.42.0` that release alone, `2.42.x`
    /// a line, `*` everything.
    fn from_str(text: &str) -> Result<Self, InvalidRelease> {
        if text.trim() == "*" {
            return Ok(Self::all());
        }
        let parts = text.split(',').map(str::trim).enumerate();
        let ranges = parts.map(|(at, part)| range(part, at == 0)).collect::<Result<_, _>>()?;
        Ok(Self { ranges, text: text.trim().to_owned() })
    }
}

fn range(text: &str, first: bool) -> Result<Range, InvalidRelease> {
    let invalid = || InvalidRelease::Range(text.to_owned());
    let (mut from, mut until) = (None, None);
    let mut words = text.split_ascii_whitespace();
    for word in words.by_ref().take(2) {
        if let Some(release) = word.strip_prefix(">=") {
            from = Some(release.parse()?);
        } else if let Some(release) = word.strip_prefix("<=") {
            let release: Release = release.parse()?;
            until = Some(Release { patch: release.patch + 1, done: false, ..release });
        } else if let Some(release) = word.strip_prefix('<') {
            until = Some(release.parse()?);
        } else if let Some(line) = word.strip_suffix(".x") {
            let line = self::line(line).ok_or_else(invalid)?;
            (from, until) = (Some(line.from), Some(line.until));
        } else {
            let release: Release = word.parse()?;
            let next = Release { patch: release.patch + 1, done: false, ..release };
            (from, until) = (Some(release), Some(next));
        }
    }
    if words.next().is_some() || (from.is_none() && until.is_none()) {
        return Err(invalid());
    }
    if from.is_none() && !first {
        return Err(InvalidRelease::Beginning(text.to_owned()));
    }
    let range = Range { from: from.unwrap_or(FIRST), until: until.unwrap_or(LAST) };
    if range.from < range.until { Ok(range) } else { Err(InvalidRelease::Empty(text.to_owned())) }
}

/// All of `2` or of `2.42`, their candidates among them.
fn line(text: &str) -> Option<Range> {
    let first = |major, minor| Release { major, minor, patch: 0, done: false };
    Some(match text.split_once('.') {
        None => {
            let major = number(text)?;
            Range { from: first(major, 0), until: first(major + 1, 0) }
        }
        Some((major, minor)) => {
            let (major, minor) = (number(major)?, number(minor)?);
            Range { from: first(major, minor), until: first(major, minor + 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn releases_are_read_as_n8n_writes_them() {
        assert_eq!(release("2.40.7"), Release::new(2, 40, 7));
        assert_eq!(release("n8n@2.40.7"), Release::new(2, 40, 7));
        assert_eq!(release("2.40.7+build").to_string(), "2.40.7");
        for text in
            ["", "2", "2.40", "2.40.7.1", "v2.40.7", "2.x.1", "+2.1.1", "2..1", "99999999.1.1"]
        {
            assert_eq!(text.parse::<Release>(), Err(InvalidRelease::Release(text.to_owned())));
        }
    }

    #[test]
    fn releases_are_ordered_by_number_and_a_candidate_is_older() {
        let sorted = ["1.9.0", "1.123.82", "2.0.0-rc.1", "2.0.0", "2.9.9", "2.40.7", "10.0.0"];
        assert!(sorted.map(release).is_sorted());
    }

    #[test]
    fn each_line_has_its_own_end() {
        let three = "<1.123.83, 2.x <2.41.4, 2.42.0";
        for (affected, is, is_not) in [
            (
                three,
                "0.9.1 1.0.0 1.123.82 2.0.0 2.40.7 2.41.3 2.42.0",
                "1.123.83 1.124.0 2.41.4 2.42.1 3.0.0",
            ),
            ("<1.98.0", "0.1.0 1.97.9 1.98.0-rc.0", "1.98.0 2.0.0"),
            (">=1.65.0 <1.121.0", "1.65.0 1.120.9", "1.64.9 1.121.0"),
            ("<2.42.6, 2.43.x <2.43.3, 3.0.0", "1.0.0 2.42.5 2.43.2 3.0.0", "2.42.6 2.43.3 3.0.1"),
            ("<=2.9.0", "2.9.0 1.0.0", "2.9.1"),
            ("2.42.x", "2.42.0 2.42.9 2.42.0-rc.1", "2.41.9 2.43.0"),
            (">=1.36.0", "1.36.0 9.0.0", "1.35.9"),
            ("*", "0.0.1 2.40.7 99.0.0", ""),
        ] {
            let parsed: Affected = affected.parse().unwrap();
            assert_eq!(parsed.to_string(), affected);
            for it in is.split_ascii_whitespace() {
                assert!(parsed.contains(release(it)), "{affected}: {it}");
            }
            for it in is_not.split_ascii_whitespace() {
                assert!(!parsed.contains(release(it)), "{affected}: {it}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_told() {
        for (text, said) in [
            ("", "`` is no range of releases"),
            ("<1.2", "`1.2` is no release"),
            ("1.x 2.x 3.x", "is no range"),
            ("<1.123.32, <2.17.4", "as in `2.x <2.17.4`"),
            ("2.x <1.0.0", "is no release at all"),
        ] {
            let error = text.parse::<Affected>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_page_names_its_release() {
        let meta = |json: &str| {
            let content = STANDARD.encode(json);
            format!(
                "<html><meta charset=\"utf-8\"><meta name=\"n8n:config:sentry\" content=\"{content}\"></html>"
            )
        };
        let page = meta(r#"{"dsn":"","environment":"production","release":"n8n@2.40.7"}"#);
        assert_eq!(Release::of_page(&page), Some(Release::new(2, 40, 7)));
        let turned = page.replace("name=\"n8n:config:sentry\" content", "id=\"x\" content");
        let turned = turned.replace("\"></html>", "\" name=\"n8n:config:sentry\"></html>");
        assert_eq!(Release::of_page(&turned), Some(Release::new(2, 40, 7)));
        for page in ["", "<meta name=\"n8n:config:sentry\" content=\"!\">", &meta("{}"), &meta("x")]
        {
            assert_eq!(Release::of_page(page), None);
        }
    }
}
