//! Counts by name: how they are written, and how they are compared.

use std::{collections::BTreeMap, fmt, str::FromStr};

use anyhow::Context;

/// How much a count may differ, in percent: compilers and libraries move it by less.
const TOLERANCE: u64 = 10;

const HEAD: &str = "\
# How many instructions the whole process executes for one of each: a release build on x86_64.
# Written by `cargo xtask instructions --bless`; `cargo xtask test` fails if it is 10 % more.
";

/// Instructions, by what they were executed for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(BTreeMap<String, u64>);

impl Table {
    pub(super) fn add(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    /// What needs too many instructions, measured by another table, or is not in it.
    pub(super) fn worse_than(&self, before: &Self) -> Vec<String> {
        let too_many = |(name, count): &(&String, &u64)| {
            before.0.get(*name).is_none_or(|before| **count > before * (100 + TOLERANCE) / 100)
        };
        self.0.iter().filter(too_many).map(|(name, _)| name.clone()).collect()
    }

    /// Both for readers, with the difference.
    pub(super) fn beside(&self, before: &Self) -> String {
        let mut lines = Vec::new();
        for (name, count) in &self.0 {
            let mut line = format!("    {name:<18} {count:>10}");
            if let Some(before) = before.0.get(name) {
                let part = |parts: u64| parts.saturating_mul(1000) / (*before).max(1);
                let (sign, permille) = match count.checked_sub(*before) {
                    Some(more) => ('+', part(more)),
                    None => ('-', part(before - count)),
                };
                let (whole, rest) = (permille / 10, permille % 10);
                line += &format!(" instead of {before:>10} ({sign}{whole}.{rest} %)");
                if sign == '-' && whole >= TOLERANCE {
                    line += ", the table can be lowered: cargo xtask instructions --bless";
                }
            }
            lines.push(line);
        }
        lines.join("\n")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{name:<18} {count:>10}"))
    }
}

impl FromStr for Table {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let row = |line: &str| {
            let (name, count) = line.split_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), count.trim().parse().with_context(|| line.to_owned())?))
        };
        Ok(Self(lines.map(row).collect::<anyhow::Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn table(rows: &[(&str, u64)]) -> Table {
        Table(rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    #[test]
    fn what_is_written_is_read() {
        let table = table(&[("http1-request", 100_000), ("banned-connection", 9_000)]);
        assert_eq!(table.to_string().parse::<Table>().ok(), Some(table));
        assert!("http1-request many".parse::<Table>().is_err());
    }

    #[test]
    fn more_than_a_tenth_more_is_too_many() {
        let before = table(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let now = table(&[("a", 1100), ("b", 1101), ("c", 100), ("new", 1)]);
        assert_eq!(now.worse_than(&before), ["b", "new"]);
        let said = now.beside(&before);
        let line = |name: &str| said.lines().find(|it| it.trim().starts_with(name));
        assert!(line("a").is_some_and(|it| it.ends_with("(+10.0 %)")), "{said}");
        assert!(line("c").is_some_and(|it| it.contains("-90.0 %") && it.contains("--bless")));
    }
}
