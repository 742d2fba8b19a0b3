//! The table of cuts: every way a connection can be ended although no request stands for it, and
//! nothing else of it.

use crate::{Level, Offence};

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cut {
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// Nobody asked for anything for too long.
    Idle,
    /// The client took none of its answer for too long: it has gone, or looks elsewhere.
    StalledReader,
    /// The client took a little of its answer now and then.
    SlowReader,
    /// There was no memory left, and nobody knew the client.
    Memory,
    /// What is no HTTP/2 (RFC 9113), or no HPACK (RFC 7541).
    H2Protocol,
    /// Streams that the client opens and resets.
    H2Resets,
    /// Streams that the client makes the gateway reset.
    H2MadeResets,
    /// Streams beyond those that may be open.
    H2Streams,
    /// PING.
    H2Ping,
    /// SETTINGS.
    H2Settings,
    /// PRIORITY.
    H2Priority,
    /// WINDOW_UPDATE, or windows of a few bytes.
    H2WindowUpdate,
    /// DATA with next to nothing in it.
    H2Data,
    /// A header block in many pieces, or that becomes too large.
    H2Headers,
    /// Frames that mean nothing.
    H2Unknown,
    /// Frames that are allowed and make no sense.
    H2Glitches,
    /// Answers that wait for a window that stays shut.
    H2Stalled,
    /// A frame, or a header block, that was begun and not ended.
    H2Unfinished,
}

struct Row {
    cut: Cut,
    name: &'static str,
    level: Level,
    /// What is held against the client.
    offence: Option<Offence>,
}

const fn row(cut: Cut, name: &'static str, level: Level, offence: Option<Offence>) -> Row {
    Row { cut, name, level, offence }
}

#[rustfmt::skip]
static TABLE: [Row; 19] = [
    // A phone at the edge of its network is late as well.
    row(Cut::HandshakeTimeout, "handshake_timeout", Level::Info, None),
    row(Cut::Idle, "idle", Level::Info, None),
    row(Cut::StalledReader, "stalled_reader", Level::Info, None),
    row(Cut::SlowReader, "slow_reader", Level::Info, Some(Offence::Slow)),
    row(Cut::Memory, "memory", Level::Warn, None),
    row(Cut::H2Protocol, "h2_protocol", Level::Info, Some(Offence::Malformed)),
    row(Cut::H2Resets, "h2_resets", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2MadeResets, "h2_made_resets", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Streams, "h2_streams", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Ping, "h2_ping", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Settings, "h2_settings", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Priority, "h2_priority", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2WindowUpdate, "h2_window_update", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Data, "h2_data", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Headers, "h2_headers", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Unknown, "h2_unknown", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Glitches, "h2_glitches", Level::Warn, Some(Offence::Flood)),
    row(Cut::H2Stalled, "h2_stalled", Level::Info, Some(Offence::Slow)),
    row(Cut::H2Unfinished, "h2_unfinished", Level::Info, Some(Offence::Slow)),
];

impl Cut {
    /// Every cut, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|row| row.cut)
    }

    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The short, stable name of metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How loud it is in the log.
    #[must_use]
    pub fn level(self) -> Level {
        self.row().level
    }

    /// Whether what the client did not take yet is thrown away: else it would go on holding memory.
    #[must_use]
    pub fn resets(self) -> bool {
        matches!(self, Self::Memory | Self::StalledReader | Self::SlowReader)
    }

    /// What is held against the client.
    #[must_use]
    pub fn offence(self) -> Option<Offence> {
        self.row().offence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.cut as usize, at, "{}", row.name);
        }
    }
}
