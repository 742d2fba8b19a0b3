//! What is made of the figures. Nothing here measures.

use std::fmt::Write as _;

use super::peers::{GATEWAY, PEERS, TABLE};

/// What each peer showed in one round; nothing where it could not be measured.
pub(super) type Round = [Option<f64>; PEERS];

/// What the gateway is meant to reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At the most this part of what a peer has.
    Of(f64, usize),
    /// At the most this.
    AtMost(f64),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The scenario that it belongs to.
    pub(super) scenario: &'static str,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) rounds: Vec<Round>,
    pub(super) goals: Vec<Goal>,
    /// What else is to be said.
    pub(super) note: String,
    /// Whether the gateway's figure is compared with the others'.
    compared: bool,
}

impl Row {
    pub(super) fn new(
        scenario: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        rounds: Vec<Round>,
    ) -> Self {
        Self {
            scenario,
            what: what.into(),
            unit,
            rounds,
            goals: Vec::new(),
            note: String::new(),
            compared: true,
        }
    }

    /// The same with something to reach.
    pub(super) fn goals(self, goals: &[Goal]) -> Self {
        Self { goals: goals.to_vec(), ..self }
    }

    /// The same with something more to say.
    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// The same with figures that stand for themselves: ratios, for one.
    pub(super) fn alone(self) -> Self {
        Self { compared: false, ..self }
    }

    /// A peer's figure: the median of its rounds.
    pub(super) fn figure(&self, peer: usize) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| *round.get(peer)?).collect())
    }

    /// The gateway's figure as a part of a peer's: the median of the rounds' own ratios, since
    /// what disturbs a round disturbs both.
    pub(super) fn ratio(&self, peer: usize) -> Option<f64> {
        let ratios = self.rounds.iter().filter_map(|round| {
            let (ours, theirs) = ((*round.get(GATEWAY)?)?, (*round.get(peer)?)?);
            (theirs > 0.0).then_some(ours / theirs)
        });
        median(ratios.collect())
    }

    fn told(&self) -> String {
        let goals = self.goals.iter().map(|goal| {
            let (text, value, bound) = match *goal {
                Goal::Of(part, peer) => {
                    let name = TABLE.get(peer).map_or("", |it| it.name);
                    (format!("≤ {part} × {name}"), self.ratio(peer), part)
                }
                Goal::AtMost(bound) => {
                    (format!("≤ {bound} {}", self.unit), self.figure(GATEWAY), bound)
                }
            };
            let met = match value {
                Some(value) if value <= bound => "met",
                Some(_) => "**missed**",
                None => "not measured",
            };
            format!("{text}: {met}")
        });
        let note = (!self.note.is_empty()).then(|| self.note.clone());
        goals.chain(note).collect::<Vec<_>>().join("; ")
    }
}

/// The middle of what there is.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let above = values.get(values.len() / 2).copied()?;
    if values.len() % 2 == 1 {
        return Some(above);
    }
    Some(f64::midpoint(above, values.get(values.len() / 2 - 1).copied()?))
}

/// What no more than `part` of the values are above of, by the nearest rank.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a small number that is not negative"
)]
pub(super) fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// A figure with three digits that mean something.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "—".to_owned(),
        Some(value) if value.abs() >= 100.0 => thousands(&format!("{value:.0}")),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// Digits in groups of three.
fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digit.is_ascii_digit() && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text.replace("-,", "-")
}

/// The one table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| | unit |");
    for peer in &TABLE {
        _ = write!(text, " {} |", peer.name);
    }
    for peer in TABLE.iter().skip(1) {
        _ = write!(text, " ÷ {} |", peer.name);
    }
    text.push_str(" target |\n|---|---|");
    text.push_str(&"---:|".repeat(2 * PEERS - 1));
    text.push_str("---|\n");
    for row in rows {
        _ = write!(text, "| {}: {} | {} |", row.scenario, row.what, row.unit);
        for peer in 0..PEERS {
            _ = write!(text, " {} |", shown(row.figure(peer)));
        }
        for peer in 1..PEERS {
            _ = write!(text, " {} |", shown(row.ratio(peer).filter(|_| row.compared)));
        }
        _ = writeln!(text, " {} |", row.told());
    }
    text
}

/// What each round showed, for whoever doubts a median.
pub(super) fn rounds(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        _ = writeln!(text, "{}: {} ({})", row.scenario, row.what, row.unit);
        for (place, peer) in TABLE.iter().enumerate() {
            let all = row.rounds.iter().map(|round| shown(round.get(place).copied().flatten()));
            _ = writeln!(text, "    {:<12} {}", peer.name, all.collect::<Vec<_>>().join("  "));
        }
    }
    text
}

/// Replaces what stands between two marks.
pub(super) fn between(text: &str, begin: &str, end: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{new}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{super::peers::NGINX, Goal, Row, between, median, quantile, rounds, shown, table};

    fn row() -> Row {
        let rounds = vec![
            [Some(10.0), Some(20.0), Some(8.0), None],
            [Some(30.0), Some(40.0), None, None],
            [Some(12.0), Some(30.0), Some(12.0), None],
        ];
        Row::new("request", "HTTP/1, 64 B", "µs", rounds)
    }

    #[test]
    fn the_middle_is_found() {
        for (values, middle) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0], Some(5.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values), middle);
        }
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), Some(100.0));
        assert_eq!(quantile(&mut values, 0.99), Some(198.0));
        assert_eq!(quantile(&mut values, 1.0), Some(200.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        // 0.5, 0.75 and 0.4, and not 12 of 30.
        assert_eq!(row().ratio(NGINX), Some(0.5));
        assert_eq!(row().figure(NGINX), Some(30.0));
        assert_eq!(row().ratio(3), None);
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (Some(1_234_567.8), "1,234,568"),
            (Some(-1234.0), "-1,234"),
            (Some(-123.0), "-123"),
            (Some(123.4), "123"),
            (Some(12.34), "12.3"),
            (Some(0.756), "0.76"),
            (None, "—"),
        ] {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn a_row_says_whether_its_goals_are_met() {
        let goals = [Goal::Of(0.6, 1), Goal::Of(0.9, 2), Goal::AtMost(11.5), Goal::Of(1.0, 3)];
        let text = table(&[row().goals(&goals).note("and so on")]);
        assert_eq!(
            text.lines().last().unwrap(),
            "| request: HTTP/1, 64 B | µs | 12.0 | 30.0 | 10.0 | — | 0.50 | 1.12 | — | \
             ≤ 0.6 × nginx: met; ≤ 0.9 × HAProxy: **missed**; ≤ 11.5 µs: **missed**; \
             ≤ 1 × Caddy: not measured; and so on |"
        );
        let columns = |line: &str| line.matches('|').count();
        let all: std::collections::BTreeSet<_> = text.lines().map(columns).collect();
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn rounds_are_told_one_by_one() {
        assert!(rounds(&[row()]).contains("    HAProxy      8.00  —  12.0\n"));
    }

    #[test]
    fn what_stands_between_marks_is_replaced() {
        assert_eq!(between("a<x>old</x>b", "<x>", "</x>", "new\n").unwrap(), "a<x>\nnew\n</x>b");
        assert_eq!(between("a", "<x>", "</x>", "new"), None);
    }
}
