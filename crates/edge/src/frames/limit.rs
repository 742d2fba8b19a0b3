//! The table of limits: how often a client may do what costs more than it asks for, and for what
//! reason its connection is cut if it does it more often.
//!
//! The numbers leave room for every client that is known: a browser that cancels 80 requests when a
//! page is loaded anew, programs that say of each piece of an answer that they have taken it, or
//! that measure round trips by pings. What an attack needs are thousands.

use std::time::Duration;

use gateway_policy::Cut;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Limit {
    /// Streams that the client resets.
    Resets,
    /// Those of them that were not answered yet: n8n worked for nobody (CVE-2023-44487).
    EarlyResets,
    /// All of a connection's life.
    ResetsEver,
    /// Streams that the client makes us reset: the same with other means (CVE-2025-8671).
    MadeResets,
    /// Streams beyond those that may be open, as a client may send that has not read our SETTINGS.
    Refusals,
    /// PING, each of which is answered (CVE-2019-9512).
    Pings,
    /// SETTINGS, each of which is answered (CVE-2019-9515), and what stands in them.
    Settings,
    /// PRIORITY, which nobody looks at (CVE-2019-9513).
    Priorities,
    /// WINDOW_UPDATE beyond what our answers need.
    Updates,
    /// DATA without a byte that is not the last one (CVE-2019-9518).
    EmptyData,
    /// Frames that mean nothing here: browsers try whether we bear them, or say what is urgent.
    Unknown,
    /// What is allowed and should not happen: frames for streams that have ended, GOAWAY.
    Glitches,
    /// Pieces of a few bytes to which a window makes us cut an answer (CVE-2019-9511).
    Dribbles,
    /// Header lists that are too large even to be refused by the stack.
    Lists,
    /// Streams whose window has been shut for too long.
    Stalls,
}

/// How many limits there are.
const LIMITS: usize = 15;

struct Row {
    limit: Limit,
    most: u32,
    /// Within so long; nothing stands for the connection's life.
    span: Option<Duration>,
    cut: Cut,
}

const fn row(limit: Limit, most: u32, seconds: u64, cut: Cut) -> Row {
    let span = if seconds > 0 { Some(Duration::from_secs(seconds)) } else { None };
    Row { limit, most, span, cut }
}

static TABLE: [Row; LIMITS] = [
    row(Limit::Resets, 100, 1, Cut::H2Resets),
    row(Limit::EarlyResets, 500, 60, Cut::H2Resets),
    row(Limit::ResetsEver, 10_000, 0, Cut::H2Resets),
    row(Limit::MadeResets, 20, 60, Cut::H2MadeResets),
    row(Limit::Refusals, 500, 60, Cut::H2Streams),
    row(Limit::Pings, 100, 1, Cut::H2Ping),
    row(Limit::Settings, 50, 1, Cut::H2Settings),
    row(Limit::Priorities, 200, 1, Cut::H2Priority),
    row(Limit::Updates, 500, 1, Cut::H2WindowUpdate),
    row(Limit::EmptyData, 50, 1, Cut::H2Data),
    row(Limit::Unknown, 200, 1, Cut::H2Unknown),
    row(Limit::Glitches, 100, 1, Cut::H2Glitches),
    row(Limit::Dribbles, 200, 10, Cut::H2WindowUpdate),
    row(Limit::Lists, 10, 60, Cut::H2Headers),
    row(Limit::Stalls, 10, 60, Cut::H2Stalled),
];

/// How many times are excused that have not come yet: a client that takes 40 MB at once may say so
/// afterwards, for each 4 KiB of the stream and of the connection.
const CREDIT: i32 = 20_000;

/// A piece of an answer of less is a dribble, if a window is the reason.
pub(super) const DRIBBLE: u32 = 256;

/// The largest answer that has a status and no field at all: hyper's own, since the stack's have
/// at least their request's id.
pub(super) const BARE: u32 = 5;

/// How many times as much a proxy may do that brings many clients' requests on one connection.
const SHARED: u32 = 100;

/// How often what has been done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: [Count; LIMITS],
    /// Whether they are many clients'.
    shared: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Below nothing if there were good reasons for more than there has been.
    so_far: i32,
    /// When counting began, from the connection's beginning.
    since: Duration,
}

impl Counts {
    /// Counts of a client, or of many that share a connection.
    pub(super) fn of(shared: bool) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Counts `times` of something at `now`, from the connection's beginning.
    #[inline]
    pub(super) fn add(&mut self, limit: Limit, times: u32, now: Duration) -> Result<(), Cut> {
        let (row, Some(count)) = (limit.row(), self.counts.get_mut(limit as usize)) else {
            return Ok(());
        };
        if row.span.is_some_and(|span| now.saturating_sub(count.since) >= span) {
            *count = Count { so_far: count.so_far.min(0), since: now };
        }
        count.so_far = count.so_far.saturating_add_unsigned(times);
        let most = if self.shared { row.most.saturating_mul(SHARED) } else { row.most };
        if count.so_far <= most.cast_signed() {
            return Ok(());
        }
        tracing::debug!(limit = ?row.limit, "too often");
        Err(row.cut)
    }

    /// There is a good reason for so many, now or later.
    #[inline]
    pub(super) fn excuse(&mut self, limit: Limit, times: u32) {
        if let Some(count) = self.counts.get_mut(limit as usize) {
            count.so_far = count.so_far.saturating_sub_unsigned(times).max(-CREDIT);
        }
    }
}

impl Limit {
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.limit as usize, at, "{:?}", row.limit);
            assert!(row.cut.offence().is_some(), "{:?}", row.limit);
        }
    }

    #[test]
    fn each_limit_ends_with_its_span_if_it_has_one() {
        for row in &TABLE {
            let mut counts = Counts::default();
            let span = row.span.unwrap_or(Duration::from_hours(1));
            assert_eq!(counts.add(row.limit, row.most, Duration::ZERO), Ok(()));
            let again = counts.add(row.limit, 1, span);
            assert_eq!(again, if row.span.is_some() { Ok(()) } else { Err(row.cut) });
            let more = counts.add(row.limit, row.most, span + Duration::from_millis(1));
            assert_eq!(more, Err(row.cut), "{:?}", row.limit);
            counts.excuse(row.limit, u32::MAX);
            let excused = row.most + CREDIT.cast_unsigned();
            assert_eq!(counts.add(row.limit, excused, span + Duration::from_millis(2)), Ok(()));
            let more = counts.add(row.limit, 1, span + Duration::from_millis(2));
            assert_eq!(more, Err(row.cut), "{:?}", row.limit);
        }
    }
}
