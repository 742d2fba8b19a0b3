//! New passwords are weighed: how hard they are to guess, and whether they have leaked.
//!
//! The list of those that have is Have I Been Pwned's, as its downloader writes it: a line a
//! password, `SHA-1:count`, sorted. It has 40 GB and more, so it is searched where it lies.

use std::{
    cmp::Ordering,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use futures_util::future::BoxFuture;
use gateway_policy::Weighed;
use gateway_telemetry::{LeakedPasswordsUnread, Telemetry};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// The length of a hash in digits.
const HASH: usize = 40;

/// The longest line: a hash, a colon, a count, an end.
const LINE: usize = 64;

/// What a new password is weighed with.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    /// Those that have leaked, if the policy names a list.
    pub(super) leaked: Option<PathBuf>,
    pub(super) telemetry: Telemetry,
}

impl Scales {
    /// Weighs a password. It takes some milliseconds, where nobody else waits.
    pub(super) fn weigh(
        self,
        password: Zeroizing<String>,
        hints: Vec<Zeroizing<String>>,
    ) -> BoxFuture<'static, Weighed> {
        Box::pin(async move {
            let plain = Weighed::of(&password);
            let weighing = spawn_blocking(move || {
                let strength = Some(strength(&password, &hints));
                let leaked = self.leaked.as_deref().and_then(|file| self.look(file, &password));
                Weighed { strength, leaked, ..Weighed::of(&password) }
            });
            weighing.await.unwrap_or(plain)
        })
    }

    fn look(&self, file: &Path, password: &str) -> Option<bool> {
        let found = File::open(file).and_then(|file| is_in(&file, &hash(password)));
        let complain = |why: &io::Error| {
            let error = format!("{}: {why}", file.display());
            self.telemetry.say(&LeakedPasswordsUnread { error });
        };
        found.inspect_err(complain).ok()
    }
}

/// How hard a password is to guess for somebody who knows `hints`: 0 to 4.
fn strength(password: &str, hints: &[Zeroizing<String>]) -> u8 {
    // People use the parts of their names and addresses, too.
    let parts = |hint: &Zeroizing<String>| -> Vec<String> {
        let parts = hint.split(|c: char| !c.is_alphanumeric()).filter(|it| it.chars().count() > 2);
        parts.map(str::to_lowercase).collect()
    };
    let hints: Vec<String> = hints.iter().flat_map(parts).chain(["n8n".to_owned()]).collect();
    let hints: Vec<&str> = hints.iter().map(String::as_str).collect();
    u8::from(zxcvbn::zxcvbn(password, &hints).score())
}

fn hash(password: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether a sorted list has a line that begins with `hash`, in upper case.
fn is_in(list: &File, hash: &str) -> io::Result<bool> {
    // The line that is looked for begins in this range, if it is there.
    let (mut from, mut to) = (0, list.metadata()?.len());
    while from < to {
        let middle = from + (to - from) / 2;
        let (start, line) = line_at(list, middle)?;
        let Some(found) = line.get(..HASH) else {
            let why = format!("no list of SHA-1 hashes: a line at {start}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        match found.to_ascii_uppercase().as_slice().cmp(hash.as_bytes()) {
            Ordering::Equal => return Ok(true),
            Ordering::Less => from = start + line.len() as u64,
            Ordering::Greater => to = start,
        }
    }
    Ok(false)
}

/// The line that the byte at `at` is in, with its end, and where it begins.
fn line_at(list: &File, at: u64) -> io::Result<(u64, Vec<u8>)> {
    let before = at.saturating_sub(LINE as u64);
    let mut around = vec![0; 2 * LINE];
    let mut read = 0;
    while let Some(room) = around.get_mut(read..).filter(|room| !room.is_empty()) {
        match list.read_at(room, before + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    around.truncate(read);
    let ahead = usize::try_from(at - before).unwrap_or(LINE);
    let left = around.get(..ahead).unwrap_or_default();
    let start = left.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let rest = around.get(start..).unwrap_or_default();
    let length = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
    Ok((before + start as u64, rest.get(..length).unwrap_or_default().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A list of these passwords, with these ends of lines.
    fn list(passwords: &[&str], end: &str) -> File {
        let mut lines: Vec<_> = passwords.iter().map(|it| hash(it)).collect();
        lines.sort();
        let mut file = tempfile::tempfile().unwrap();
        for (count, line) in lines.iter().enumerate() {
            let count = 10_usize.pow(u32::try_from(count % 9).unwrap());
            write!(file, "{line}:{count}{end}").unwrap();
        }
        file
    }

    #[test]
    fn what_has_leaked_is_found_wherever_it_stands() {
        assert_eq!(hash("password"), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        let all: Vec<String> = (0..300).map(|n| format!("leaked-{n}")).collect();
        for end in ["\n", "\r\n"] {
            for count in [0, 1, 2, 3, 50, 300] {
                let some: Vec<&str> = all.iter().take(count).map(String::as_str).collect();
                let list = list(&some, end);
                for (n, password) in all.iter().enumerate() {
                    assert_eq!(is_in(&list, &hash(password)).unwrap(), n < count, "{n} of {count}");
                }
            }
        }
        let mut other = tempfile::tempfile().unwrap();
        writeln!(other, "password\n123456").unwrap();
        assert!(is_in(&other, &hash("password")).is_err(), "it is no such list");
    }

    #[test]
    fn what_somebody_is_called_is_guessed_first() {
        let hints = ["olive@example.com", "Marchetti"].map(|it| Zeroizing::new(it.to_owned()));
        assert!(strength("Marchetti-2026", &hints) < strength("Marchetti-2026", &[]));
        assert!(strength("Passw0rd1", &[]) < 2);
        assert_eq!(strength("Vague-Tundra-Piano-88", &hints), 4);
    }
}
