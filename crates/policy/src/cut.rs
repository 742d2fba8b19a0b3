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
    /// The client did not take its answer.
    SlowReader,
    /// There was no memory left, and nobody knew the client.
    Memory,
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
static TABLE: [Row; 4] = [
    // A phone at the edge of its network is late as well.
    row(Cut::HandshakeTimeout, "handshake_timeout", Level::Info, None),
    row(Cut::Idle, "idle", Level::Info, None),
    row(Cut::SlowReader, "slow_reader", Level::Info, Some(Offence::Slow)),
    row(Cut::Memory, "memory", Level::Warn, None),
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
