//! Where a rule comes from, so that a decision can name the line that made it.

use std::fmt;

/// A place in the policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of the policy.
    Written(Place),
    /// The line that says who may reach the editor, which this surface follows.
    FollowsEditor(Place),
    /// Nothing was written: the surface's default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(place) => write!(f, "line {}", place.line),
            Self::FollowsEditor(place) => write!(f, "as the editor, line {}", place.line),
            Self::Default => f.write_str("default"),
        }
    }
}
