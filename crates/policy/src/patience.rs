//! How slow is too slow: one measure for whoever stops and for whoever drips.

use std::time::Duration;

/// How slow the other side of a connection may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long it may stop.
    pub stall: Duration,
    /// How much it must send or take in the long run, in bytes a second; 0 if only stops count.
    pub rate: u64,
}

/// What is left of the patience with the other side. Waiting uses it up, at the most `stall` of it,
/// and bytes give it back, at `rate`: whoever is faster than that in the long run can be waited for
/// for ever, and whoever is slower cannot, however it is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pace: Pace,
    left: Duration,
}

/// In which way the other side is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It has stopped: most likely it is gone.
    Stalled,
    /// It goes on, and too slowly to get anywhere: most likely on purpose.
    Dripping,
}

impl Patience {
    /// All of it.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, left: pace.stall }
    }

    /// For how long the other side can be waited for now.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Takes down that it was waited for.
    pub fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// Takes down that it moved.
    pub fn moved(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if bytes == 0 {
            return;
        }
        let earned = match bytes.saturating_mul(1000).checked_div(self.pace.rate) {
            Some(milliseconds) => Duration::from_millis(milliseconds),
            None => Duration::MAX,
        };
        self.left = self.left.saturating_add(earned).min(self.pace.stall);
    }

    /// In which way it is too slow if it was waited for in vain for so long in the end.
    #[must_use]
    pub fn verdict(&self, last: Duration) -> Slow {
        if last >= self.pace.stall / 2 { Slow::Stalled } else { Slow::Dripping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { stall: Duration::from_secs(30), rate: 256 };

    /// After how many pieces of `bytes`, one each `every`, there is no patience left; up to a day.
    fn pieces(bytes: usize, every: Duration) -> Option<u128> {
        let mut patience = Patience::new(PACE);
        let day = Duration::from_hours(24).as_millis() / every.as_millis();
        (1..=day).find(|_| {
            let over = every >= patience.left();
            patience.waited(every);
            patience.moved(bytes);
            over
        })
    }

    #[test]
    fn who_drips_is_cut_and_who_is_slow_is_not() {
        let second = Duration::from_secs(1);
        // Each second a byte, or just less than is asked for.
        assert_eq!(pieces(1, second), Some(31));
        assert!(pieces(200, second).is_some_and(|it| it < 200));
        // Each tenth of a second a byte.
        assert!(pieces(1, second / 10).is_some_and(|it| it < 320));
        // GPRS, with pauses; a piece now and then that makes up for its pause.
        assert_eq!(pieces(2000, second), None);
        assert_eq!(pieces(8 * 1024, 29 * second), None);
        assert_eq!(pieces(1024, 29 * second), Some(2));
        // Nothing at all.
        assert_eq!(pieces(0, 30 * second), Some(1));
    }

    #[test]
    fn a_fast_beginning_buys_no_long_drip() {
        let mut patience = Patience::new(PACE);
        patience.moved(1 << 30);
        assert_eq!(patience.left(), PACE.stall);
    }

    #[test]
    fn without_a_rate_only_stops_count() {
        let mut patience = Patience::new(Pace { rate: 0, ..PACE });
        for _ in 0..1000 {
            patience.waited(Duration::from_secs(29));
            patience.moved(1);
        }
        assert_eq!(patience.left(), PACE.stall);
        patience.waited(PACE.stall);
        patience.moved(0);
        assert_eq!(patience.left(), Duration::ZERO);
        assert_eq!(patience.verdict(PACE.stall), Slow::Stalled);
        assert_eq!(patience.verdict(Duration::from_secs(1)), Slow::Dripping);
    }
}
