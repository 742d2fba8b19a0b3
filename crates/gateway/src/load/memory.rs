//! How much memory the gateway uses, and how much it may.

use std::{fs, hint::black_box, path::Path, thread, time::Duration};

use gateway_policy::Pressure;
use gateway_telemetry::{MemoryPressure, Telemetry};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{Guard, Terms};

/// How often it is looked at. In so short a time no crowd fills what is kept free.
const LOOK: Duration = Duration::from_millis(50);

/// How often what nobody uses is given back to the machine.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// What is assumed where the machine does not tell how much it has.
const UNKNOWN: u64 = 1 << 30;

/// The ceiling that is kept where the policy names none: three quarters of what the container may
/// have, or half of the machine, for n8n lives on it as well.
pub(crate) fn ceiling() -> u64 {
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total_of).unwrap_or(UNKNOWN);
    // Where there is no limit, version 1 of cgroups tells an absurdly high one.
    match container.filter(|it| *it < machine) {
        Some(limit) => limit / 4 * 3,
        None => machine / 2,
    }
}

/// What the machine has, of the text of `/proc/meminfo` (proc_meminfo(5)).
fn total_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What is resident of this process, of the text of `/proc/self/status` (proc_pid_status(5)),
/// without what it shares with files.
fn resident_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Gives what nobody has used for a second back to the machine. mimalloc does that when a thread ends,
/// and else when a thread has asked it for memory many times (`mi_arenas_try_purge` in its version 3):
/// a gateway that has become quiet would keep what its crowd has needed.
fn give_back() {
    // One that never had memory is no thread to mimalloc. Where none can be started, it is later.
    let work = || drop(black_box(Box::new(0_u64)));
    drop(thread::Builder::new().name("give-back".into()).spawn(work));
}

/// Looks how much memory is used, and has what nobody uses given back, until `stop`.
pub(crate) async fn watch_memory(
    guard: Guard,
    terms: watch::Receiver<Terms>,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut look = interval(LOOK);
    let mut giving = interval(GIVE_BACK);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    giving.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = giving.tick() => {
                give_back();
                continue;
            }
            () = stop.cancelled() => return,
        }
        let ceiling = terms.borrow().memory;
        let status = fs::read_to_string(Path::new("/proc/self/status"));
        let Some(resident) = status.ok().as_deref().and_then(resident_of) else { continue };
        // It falls only well below where it rose, and does not go to and fro.
        let (now, calm) = (guard.load().pressure(), resident + ceiling / 20);
        let pressure = Pressure::of(resident, ceiling).max(now.min(Pressure::of(calm, ceiling)));
        if guard.load().presses(pressure) {
            telemetry.say(&MemoryPressure { pressure: pressure.name(), resident, ceiling });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        assert_eq!(total_of("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(resident_of("Name:\tx\nRssAnon:\t     12 kB\nRssFile: 5 kB\n"), Some(12 * 1024));
        assert_eq!(total_of("nothing"), None);
        assert!(ceiling() > 1 << 20);
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident_of(&own).is_some_and(|it| it > 1 << 18));
    }
}
