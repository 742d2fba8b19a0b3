//! Where something was used lately: a session, or an API key.

use std::{net::IpAddr, time::Duration};

use gateway_policy::Timestamp;

/// How many places one thing is remembered at.
pub(crate) const PLACES: usize = 8;

/// How often it is taken down that something is used.
const OFTEN: Duration = Duration::from_mins(1);

/// Where something was used lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// When it was used last, to the minute.
    pub seen: Timestamp,
    /// From where it was used last.
    pub address: IpAddr,
    /// The networks that it was used in, the last one first.
    pub places: Vec<String>,
}

impl Trail {
    /// That of something that is used for the first time; its user may be at home in several places.
    #[must_use]
    pub fn new(address: IpAddr, mut places: Vec<String>, at: Timestamp) -> Self {
        places.truncate(PLACES);
        Self { seen: at, address, places }
    }

    /// Whether it was never used in `place`, and was in others.
    #[must_use]
    pub fn is_elsewhere(&self, place: Option<&str>) -> bool {
        let known = |place: &str| self.places.iter().any(|it| it == place);
        !self.places.is_empty() && place.is_some_and(|it| !known(it))
    }

    /// Takes down a use, in `place` if that is known. Tells the place of before, if this is another, and
    /// whether anything has changed.
    pub(crate) fn used(
        &mut self,
        address: IpAddr,
        place: Option<&str>,
        at: Timestamp,
    ) -> (Option<String>, bool) {
        let other = place.filter(|place| !self.places.iter().any(|it| it == place));
        let stale = at.since(self.seen) >= OFTEN || at < self.seen;
        if other.is_none() && !stale {
            return (None, false);
        }
        let before = other.and_then(|_| self.places.first().cloned());
        if let Some(place) = other {
            self.places.insert(0, place.to_owned());
            self.places.truncate(PLACES);
        }
        (self.seen, self.address) = (at, address);
        (before, true)
    }
}
