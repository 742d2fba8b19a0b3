//! Who comes first when there is not room for all.

/// Who somebody is, as far as anybody remembers them, the least welcome first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Somebody of whom nothing is known.
    Stranger,
    /// Somebody whose webhooks n8n takes.
    Sender,
    /// Somebody who has signed in lately, or whom the policy never bans.
    Known,
}

impl Standing {
    /// How much of the room there is for them, in hundredths: the rest is kept for those who come
    /// before them.
    fn share(self) -> usize {
        match self {
            Self::Stranger => 80,
            Self::Sender => 90,
            Self::Known => 100,
        }
    }

    /// How many of `total` may be there when one more of them comes; at least one.
    #[must_use]
    pub fn room(self, total: usize) -> usize {
        let share = self.share();
        (total / 100 * share + total % 100 * share / 100).max(1)
    }
}

/// How much of the memory that the gateway may have is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Enough is left.
    #[default]
    Low,
    /// Little is left: no more for strangers.
    High,
    /// None is left: only who is known comes in, and strangers' connections are taken from them.
    Critical,
}

impl Pressure {
    /// The pressure when so many bytes of `ceiling` are used.
    #[must_use]
    pub fn of(used: u64, ceiling: u64) -> Self {
        let part = |hundredths: u64| ceiling / 100 * hundredths;
        if used >= part(90) {
            Self::Critical
        } else if used >= part(75) {
            Self::High
        } else {
            Self::Low
        }
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Whether one more of them may come in.
    #[must_use]
    pub fn admits(self, standing: Standing) -> bool {
        match self {
            Self::Low => true,
            Self::High => standing > Standing::Stranger,
            Self::Critical => standing == Standing::Known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_room_for_the_others() {
        let room = |total| {
            [Standing::Stranger, Standing::Sender, Standing::Known].map(|it| it.room(total))
        };
        assert_eq!(room(10_000), [8000, 9000, 10_000]);
        assert_eq!(room(10), [8, 9, 10]);
        assert_eq!(room(1), [1, 1, 1]);
        assert_eq!(room(usize::MAX)[2], usize::MAX);
    }

    #[test]
    fn the_less_memory_the_fewer_come_in() {
        let admitted = |used| {
            let pressure = Pressure::of(used, 1000);
            [Standing::Stranger, Standing::Sender, Standing::Known].map(|it| pressure.admits(it))
        };
        assert_eq!(admitted(749), [true, true, true]);
        assert_eq!(admitted(750), [false, true, true]);
        assert_eq!(admitted(900), [false, false, true]);
        assert_eq!(admitted(5000), [false, false, true]);
    }
}
