//! Windows: who is let into a surface for a time, by hand. They are no part of the policy: what is
//! open at a moment is an argument of a decision.

use std::{net::IpAddr, time::Duration};

use gateway_n8n::{Audience, Surface};
use ipnet::IpNet;

use crate::{Rule, Source, Timestamp, Who};

/// As many may be open at once.
pub const MOST_WINDOWS: usize = 32;

/// The longest that one may be open.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(24);

/// The widest networks: a window is for somebody, not for a provider's whole range.
const WIDEST_V4: u8 = 24;
const WIDEST_V6: u8 = 48;

/// Somebody is let into a surface for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What tells it from others.
    pub id: u64,
    /// The surface.
    pub surface: Surface,
    /// Who.
    pub net: IpNet,
    /// When it closes.
    pub until: Timestamp,
    /// Who opened it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Window {
    /// Whether it is wide enough for what `rule` says of a path on `surface`. What follows the editor
    /// opens with it; a line about a path below a surface stays as it is.
    fn opens(&self, surface: Surface, rule: &Rule<Who>) -> bool {
        let follows = match rule.source {
            Source::FollowsEditor(_) => true,
            Source::Default => surface.row().audience == Audience::Editors,
            Source::Written(_) => false,
        };
        let with_editor = self.surface == Surface::Editor && follows;
        rule.path.is_empty() && (self.surface == surface || with_editor)
    }
}

/// Why a window cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    /// Nobody may ever be let in there.
    #[error("nobody outside is ever let in there")]
    Surface,
    /// Too many addresses.
    #[error("a window is for an address, or a network no wider than /24 (IPv6: /48)")]
    TooWide,
    /// Too long, or no time at all.
    #[error("a window is open for a second at the least and a day at the most")]
    Time,
    /// Too many of them.
    #[error("there are 32 windows open, and that is as many as there may be")]
    TooMany,
}

/// What is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// None.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Every one.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Window> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same and one more.
    ///
    /// # Errors
    ///
    /// Why that may not be.
    pub fn with(&self, window: Window, now: Timestamp) -> Result<Self, CannotOpen> {
        let widest = if window.net.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        if matches!(window.surface, Surface::Internal | Surface::Metrics) {
            return Err(CannotOpen::Surface);
        }
        if window.net.prefix_len() < widest {
            return Err(CannotOpen::TooWide);
        }
        if window.until <= now || window.until.since(now) > LONGEST_WINDOW {
            return Err(CannotOpen::Time);
        }
        if self.0.len() >= MOST_WINDOWS {
            return Err(CannotOpen::TooMany);
        }
        let mut all = self.0.clone();
        all.push(window);
        Ok(Self(all))
    }

    /// Those that are open at `now`.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self(self.0.iter().filter(|it| it.until > now).cloned().collect())
    }

    /// Those that `closes` says nothing of, and the others.
    #[must_use]
    pub fn without(&self, closes: impl Fn(&Window) -> bool) -> (Self, Vec<Window>) {
        let (closed, kept) = self.0.iter().cloned().partition(closes);
        (Self(kept), closed)
    }

    /// The one that lets `address` in where `rule` does not.
    pub(crate) fn find(
        &self,
        surface: Surface,
        rule: &Rule<Who>,
        address: IpAddr,
    ) -> Option<&Window> {
        let address = address.to_canonical();
        self.0.iter().find(|it| it.net.contains(&address) && it.opens(surface, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn window(surface: Surface, net: &str, seconds: i64) -> Window {
        let (by, why) = (String::new(), String::new());
        Window { id: 1, surface, net: net.parse().unwrap(), until: NOW.moved(seconds), by, why }
    }

    #[test]
    fn a_window_is_narrow_and_short_and_there_are_few() {
        use Surface::{Editor, Internal, WebhookTest as Test};
        for (surface, net, seconds, expected) in [
            (Test, "203.0.113.7/32", 900, None),
            (Editor, "2001:db8::/48", 86_400, None),
            (Test, "203.0.113.0/24", 1, None),
            (Test, "203.0.112.0/23", 900, Some(CannotOpen::TooWide)),
            (Test, "2001:db8::/47", 900, Some(CannotOpen::TooWide)),
            (Test, "203.0.113.7/32", 86_401, Some(CannotOpen::Time)),
            (Test, "203.0.113.7/32", 0, Some(CannotOpen::Time)),
            (Internal, "203.0.113.7/32", 900, Some(CannotOpen::Surface)),
        ] {
            let made = Windows::NONE.with(window(surface, net, seconds), NOW);
            assert_eq!(made.err(), expected, "{net} {seconds}");
        }
        let mut all = Windows::default();
        for _ in 0..MOST_WINDOWS {
            all = all.with(window(Test, "203.0.113.7/32", 900), NOW).unwrap();
        }
        let more = all.with(window(Test, "203.0.113.7/32", 900), NOW);
        assert_eq!(more.err(), Some(CannotOpen::TooMany));
    }
}
