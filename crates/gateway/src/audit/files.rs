//! n8n's files on this machine, and its backups.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gateway_config::BackupSource;
use gateway_n8n::audit::{Backup, FileSeen, Looked, Observed, Variables, seconds};
use tokio::{process::Command, time::timeout};

/// How long a program may take to say when the last backup was made.
const PATIENCE: Duration = Duration::from_secs(60);

/// n8n's data directory and the settings file in it.
pub(super) fn data(folder: Option<&Path>, seen: &mut Observed) {
    let Some(folder) = folder else {
        let why = "n8n's data directory is not known: name it under `audit.data`";
        seen.data = Err(why.to_owned());
        seen.settings_file = Err(why.to_owned());
        return;
    };
    seen.data = file(folder);
    seen.settings_file = file(&folder.join("config"));
}

fn file(path: &Path) -> Looked<FileSeen> {
    let known = fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let mode = known.permissions().mode();
    Ok(FileSeen { path: path.display().to_string(), mode, ..FileSeen::default() })
}

/// Files with n8n's environment, and what they say of it together, if they could be read.
pub(super) fn env_files(files: &[PathBuf]) -> (Looked<Vec<FileSeen>>, Option<Variables>) {
    if files.is_empty() {
        return (Err("`audit.env_files` names no file".to_owned()), None);
    }
    let (mut all, mut together) = (Vec::new(), Variables::default());
    for path in files {
        let shown = path.display().to_string();
        let read = file(path).and_then(|it| {
            let text = fs::read_to_string(path).map_err(|why| format!("{shown}: {why}"))?;
            Ok((it, Variables::parse(&text, &shown)))
        });
        let (mut one, variables) = match read {
            Ok(read) => read,
            Err(why) => return (Err(why), None),
        };
        one.secrets = variables.secrets();
        one.in_git = in_git(path);
        all.push(one);
        together.set.extend(variables.set);
        let comma = if together.from.is_empty() { "" } else { ", " };
        together.from.push_str(&format!("{comma}{shown}"));
    }
    (Ok(all), Some(together.without_secrets()))
}

/// How a file is under version control, if it is: tracked, or in a repository whose `.gitignore`
/// does not leave it out.
fn in_git(file: &Path) -> Option<String> {
    let file = fs::canonicalize(file).ok()?;
    let root = file.ancestors().skip(1).find(|it| it.join(".git").exists())?;
    let within = file.strip_prefix(root).ok()?.to_str()?;
    let shown = root.display();
    if let Ok(index) = fs::read(root.join(".git/index"))
        && is_in_index(&index, within)
    {
        return Some(format!("is tracked in the git repository {shown}"));
    }
    let rules = |folder: &Path| {
        let name = if folder == root { ".git/info/exclude" } else { ".gitignore" };
        let other = fs::read_to_string(folder.join(name)).unwrap_or_default();
        format!("{}\n{other}", fs::read_to_string(folder.join(".gitignore")).unwrap_or_default())
    };
    let folders = file.ancestors().skip(1).take_while(|it| it.starts_with(root));
    let ignored = folders.map(rules).any(|rules| rules.lines().any(|it| ignores(it, within)));
    (!ignored).then(|| format!("is in the git repository {shown}, which does not ignore it"))
}

/// Whether git's index has an entry for `path`.
///
/// Source: gitformat-index(5): an entry's name follows two bytes of flags, whose lower twelve bits
/// are its length, and ends in a NUL.
fn is_in_index(index: &[u8], path: &str) -> bool {
    let length = u16::try_from(path.len().min(0xfff)).unwrap_or(0xfff);
    let mut entry = length.to_be_bytes().to_vec();
    entry.extend(path.as_bytes());
    entry.push(0);
    let fits = |window: &[u8]| {
        // The upper four bits are flags of another kind.
        let first = window.first().map(|it| it & 0x0f);
        first == entry.first().copied() && window.get(1..) == entry.get(1..)
    };
    index.windows(entry.len()).any(fits)
}

/// Whether a line of `.gitignore` leaves out the file at `path`: its name, with one star at most.
fn ignores(line: &str, path: &str) -> bool {
    let line = line.trim().trim_start_matches("**/").trim_start_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    match line.split_once('*') {
        _ if line.is_empty() || line.starts_with(['#', '!']) => false,
        None => line == name || line == path,
        Some((start, end)) => {
            let long = name.len() >= start.len() + end.len();
            long && !end.contains('*') && name.starts_with(start) && name.ends_with(end)
        }
    }
}

/// When the last backup was made.
pub(super) async fn backup(source: Option<&BackupSource>) -> Looked<Backup> {
    match source {
        None => Err("nobody has said where backups are: `audit.backup` in the policy".to_owned()),
        Some(BackupSource::Path(path)) => {
            let from = path.display().to_string();
            match newest(path) {
                Ok(made) => Ok(Backup { from, made }),
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                    Ok(Backup { from, made: None })
                }
                Err(why) => Err(format!("{from}: {why}")),
            }
        }
        Some(BackupSource::Command(program)) => {
            let from = program.display().to_string();
            let made = said_by(program).await.map_err(|why| format!("{from}: {why}"))?;
            Ok(Backup { from: format!("what {from} tells of"), made: Some(made) })
        }
    }
}

/// When a file was written, or the newest of those in a folder.
fn newest(path: &Path) -> std::io::Result<Option<i64>> {
    let known = fs::metadata(path)?;
    if !known.is_dir() {
        return Ok(since_1970(known.modified()?));
    }
    let mut newest = None;
    for entry in fs::read_dir(path)?.flatten() {
        let written = entry.metadata().and_then(|it| it.modified()).ok().and_then(since_1970);
        newest = newest.max(written);
    }
    Ok(newest)
}

fn since_1970(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

async fn said_by(program: &Path) -> Result<i64, String> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PATIENCE, command.output()).await;
    let ended = ended.map_err(|_| format!("it did not end within {} s", PATIENCE.as_secs()))?;
    let output = ended.map_err(|why| why.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.trim();
    let read = said.parse().ok().or_else(|| seconds(said));
    read.ok_or_else(|| "it prints no time such as 2026-11-22T03:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_to_be_under_version_control() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let file = root.join("deploy/.env");
        fs::create_dir_all(root.join("deploy")).unwrap();
        fs::write(&file, "A=1").unwrap();
        assert_eq!(in_git(&file), None, "no repository");
        fs::create_dir(root.join(".git")).unwrap();
        assert!(in_git(&file).unwrap().contains("does not ignore it"));
        for rule in [".env", "deploy/.env", "/deploy/.env", "*.env", ".env*", "**/.env"] {
            fs::write(root.join(".gitignore"), format!("# all\n\n{rule}\n")).unwrap();
            assert_eq!(in_git(&file), None, "{rule}");
        }
        for rule in ["#.env", "!.env", ".env.example", "other"] {
            fs::write(root.join(".gitignore"), rule).unwrap();
            assert!(in_git(&file).is_some(), "{rule}");
        }
        // Once tracked, no rule takes it out.
        fs::write(root.join(".gitignore"), ".env").unwrap();
        let entry = |name: &str| {
            [
                b"DIRC....".as_slice(),
                &[0x80, u8::try_from(name.len()).unwrap()],
                name.as_bytes(),
                &[0, 0],
            ]
            .concat()
        };
        fs::write(root.join(".git/index"), entry("other/deploy/.env")).unwrap();
        assert_eq!(in_git(&file), None);
        fs::write(root.join(".git/index"), entry("deploy/.env")).unwrap();
        assert!(in_git(&file).unwrap().contains("is tracked"));
    }

    #[tokio::test]
    async fn the_newest_backup_counts_or_what_a_program_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &Path| Some(BackupSource::Path(path.to_owned()));
        assert_eq!(backup(at(folder.path()).as_ref()).await.unwrap().made, None, "empty");
        assert_eq!(backup(at(&folder.path().join("x")).as_ref()).await.unwrap().made, None, "gone");
        for (name, since) in [("old", 1000), ("new", 3000), ("other", 2000)] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(since)).unwrap();
        }
        assert_eq!(backup(at(folder.path()).as_ref()).await.unwrap().made, Some(3000));
        let program = folder.path().join("last");
        fs::write(&program, "#!/bin/sh\necho 1970-01-01T01:00:00Z\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let said = backup(Some(&BackupSource::Command(program.clone()))).await;
        assert_eq!(said.unwrap().made, Some(3600));
        fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
        assert!(backup(Some(&BackupSource::Command(program))).await.unwrap_err().contains('3'));
    }
}
