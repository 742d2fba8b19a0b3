//! Files and backups on n8n's machine.

use super::{FileSeen, Looked, Observed, Verdict, observed::DAY};

/// What a group and others may do with a file.
const OTHERS: u32 = 0o077;

/// What others may do with a folder: a group may look into it, as in containers.
const STRANGERS: u32 = 0o027;

pub(super) fn settings_file(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings_file, |it| {
        Verdict::found_in(wider(it, OTHERS).into_iter().collect())
    })
}

pub(super) fn data(seen: &Observed) -> Verdict {
    Verdict::of(&seen.data, |it| Verdict::found_in(wider(it, STRANGERS).into_iter().collect()))
}

pub(super) fn env_mode(seen: &Observed) -> Verdict {
    of_files(&seen.env_files, |it| wider(it, OTHERS))
}

pub(super) fn env_in_git(seen: &Observed) -> Verdict {
    of_files(&seen.env_files, |it| it.in_git.as_ref().map(|how| format!("{} {how}", it.path)))
}

pub(super) fn env_secrets(seen: &Observed) -> Verdict {
    of_files(&seen.env_files, |it| {
        let names = it.secrets.join(", ");
        (!it.secrets.is_empty()).then(|| format!("{}: {names}", it.path))
    })
}

pub(super) fn backup(seen: &Observed) -> Verdict {
    Verdict::of(&seen.backup, |it| match it.made {
        None => Verdict::Found(vec![format!("{}: there is none", it.from)]),
        Some(made) => {
            let (age, most) = (seen.now - made, seen.bounds.backup);
            let old = |age: i64| match age / DAY {
                0 | 1 => format!("{} hours old", age / 3600),
                days => format!("{days} days old"),
            };
            Verdict::found_if(age > most, || format!("{} is {}", it.from, old(age)))
        }
    })
}

fn of_files(files: &Looked<Vec<FileSeen>>, wrong: impl Fn(&FileSeen) -> Option<String>) -> Verdict {
    Verdict::of(files, |all| Verdict::found_in(all.iter().filter_map(wrong).collect()))
}

fn wider(file: &FileSeen, mask: u32) -> Option<String> {
    (file.mode & mask != 0).then(|| format!("{} has mode {:03o}", file.path, file.mode & 0o777))
}
