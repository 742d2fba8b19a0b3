//! What processes have used, as the kernel tells: time on processors, and memory.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use anyhow::{Context, bail};

/// Which processors may be used.
#[derive(Clone, Debug)]
pub(super) struct Processors(Vec<usize>);

impl Processors {
    /// Those of this process.
    pub(super) fn find() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self::parse(list.context("processors that may be used")?.trim())
    }

    fn parse(list: &str) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        for part in list.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            found.extend(first.parse::<usize>()?..=last.parse()?);
        }
        Ok(Self(found))
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Those for so many workers, as `taskset -c` takes them.
    pub(super) fn measured(&self, workers: usize) -> String {
        listed(self.0.iter().take(workers))
    }

    /// Those for whoever asks and answers them: the others, or all if there are no others.
    pub(super) fn others(&self, workers: usize) -> String {
        if self.0.len() > workers {
            listed(self.0.iter().skip(workers))
        } else {
            listed(self.0.iter())
        }
    }
}

fn listed<'a>(processors: impl Iterator<Item = &'a usize>) -> String {
    processors.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The time that a process and all that it has started have been on processors.
#[derive(Clone, Debug, Default)]
pub(super) struct Cpu {
    /// By process and thread, in nanoseconds.
    threads: BTreeMap<(u32, u32), u64>,
    /// What the kernel has added up, threads that have ended included, in its ticks of 10 ms.
    ticks: u64,
}

/// The kernel's tick as it is told to programs, in nanoseconds: `USER_HZ` is 100 on all of Linux.
const TICK: u64 = 10_000_000;

impl Cpu {
    /// The time until now.
    pub(super) fn read(process: u32) -> anyhow::Result<Self> {
        let mut cpu = Self::default();
        for process in family(process)? {
            let own = format!("/proc/{process}");
            let Ok(threads) = fs::read_dir(format!("{own}/task")) else { continue };
            for thread in threads {
                let thread = thread?;
                let Some(number) = thread.file_name().to_str().and_then(|it| it.parse().ok())
                else {
                    continue;
                };
                // It may have ended meanwhile.
                let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                    continue;
                };
                let spent = text.split(' ').next().context("schedstat")?.parse()?;
                cpu.threads.insert((process, number), spent);
            }
            cpu.ticks += ticks(&fs::read_to_string(format!("{own}/stat")).unwrap_or_default());
        }
        if cpu.threads.is_empty() {
            bail!("process {process} has ended");
        }
        Ok(cpu)
    }

    /// What was used since `earlier`, in nanoseconds. Where a thread has ended, what the kernel has
    /// added up counts, which is coarser.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        if earlier.threads.keys().any(|thread| !self.threads.contains_key(thread)) {
            return self.ticks.saturating_sub(earlier.ticks) * TICK;
        }
        let used = self.threads.iter().map(|(thread, now)| {
            now.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0))
        });
        used.sum()
    }
}

/// The 14th and 15th field, counted from behind the program's name, which may have blanks in it.
fn ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum()
}

/// A process and all that it has started, itself first.
pub(super) fn family(process: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads {
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

/// The memory of a process and all that it has started, in KiB. What processes share is shared out
/// among them.
pub(super) fn memory(process: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for process in family(process)? {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = match fs::read_to_string(Path::new(&path)) {
            Ok(text) => text,
            // It has ended in between. Who may not look learns nothing, which is not nothing.
            Err(why) if why.kind() == ErrorKind::NotFound => continue,
            Err(why) => return Err(why).context(path),
        };
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("Pss")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::{Cpu, Processors, TICK, ticks};

    #[test]
    fn processors_are_read_and_shared_out() {
        let four = Processors::parse("0-2,7").unwrap();
        assert_eq!(
            (four.count(), four.measured(2), four.others(2)),
            (4, "0,1".into(), "2,7".into())
        );
        let one = Processors::parse("3").unwrap();
        assert_eq!((one.measured(1), one.others(1)), ("3".into(), "3".into()));
    }

    #[test]
    fn time_is_added_up_by_thread_unless_one_has_ended() {
        let before = Cpu { threads: [((1, 1), 5), ((1, 2), 7)].into(), ticks: 3 };
        let after = Cpu { threads: [((1, 1), 6), ((1, 2), 9), ((1, 3), 4)].into(), ticks: 5 };
        assert_eq!(after.since(&before), 7);
        let ended = Cpu { threads: [((1, 1), 6)].into(), ticks: 5 };
        assert_eq!(ended.since(&before), 2 * TICK);
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0";
        assert_eq!(ticks(stat), 42);
    }
}
