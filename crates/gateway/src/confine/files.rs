//! The files that are left (Landlock): what the policy names, by its folder, since editors and
//! whoever renews certificates put new files in the place of old ones; and what name resolution,
//! TLS and the metrics of the process read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use gateway_config::{Admin, Audit, BackupSource, Certificate, Publisher, Settings};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Grounds;

/// What may be done with a file, or with all that is in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// It is read.
    Read,
    /// What is in it is named, and not read.
    List,
    /// It is written and never made: a device.
    Device,
    /// Sockets in it are removed.
    Remove,
    /// Lines are added to files in it.
    Append,
    /// It is read and run.
    Run,
    /// Everything but to run what is in it.
    Keep,
    /// Everything: a program's own folder.
    Own,
}

impl Right {
    pub(super) fn reads(self) -> bool {
        !matches!(self, Self::Remove | Self::Append)
    }

    pub(super) fn runs(self) -> bool {
        matches!(self, Self::Run | Self::Own)
    }

    fn flags(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let change = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
        let folders = AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::MakeDir;
        match self {
            Self::Read => read,
            Self::List => AccessFs::ReadDir.into(),
            Self::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
            Self::Remove => AccessFs::RemoveFile.into(),
            Self::Append => AccessFs::WriteFile | AccessFs::MakeReg,
            Self::Run => read | AccessFs::Execute,
            Self::Keep => read | change | folders | AccessFs::Refer,
            Self::Own => read | change | folders | AccessFs::Refer | AccessFs::Execute,
        }
    }
}

/// What every gateway reads, whatever its policy says. What is not there is left out.
#[rustfmt::skip]
const SYSTEM: &[(&str, Right)] = &[
    // Names: the C library's resolver, glibc's or musl's, and its modules.
    ("/etc/resolv.conf", Right::Read), ("/etc/hosts", Right::Read), ("/etc/host.conf", Right::Read),
    ("/etc/nsswitch.conf", Right::Read), ("/etc/gai.conf", Right::Read), ("/etc/services", Right::Read),
    ("/etc/protocols", Right::Read), ("/etc/ld.so.cache", Right::Read), ("/run/systemd/resolve", Right::Read),
    ("/lib", Right::Read), ("/lib64", Right::Read), ("/usr/lib", Right::Read), ("/usr/lib64", Right::Read),
    ("/usr/local/lib", Right::Read),
    // Certification authorities that this machine trusts.
    ("/etc/ssl/certs", Right::Read), ("/etc/ssl/cert.pem", Right::Read), ("/etc/ssl/openssl.cnf", Right::Read),
    ("/etc/pki/ca-trust", Right::Read), ("/etc/pki/tls/certs", Right::Read), ("/etc/pki/tls/cert.pem", Right::Read),
    ("/etc/ca-certificates", Right::Read),
    ("/usr/share/ca-certificates", Right::Read), ("/usr/local/share/ca-certificates", Right::Read),
    ("/usr/share/pki", Right::Read), ("/var/lib/ca-certificates", Right::Read),
    // The process's own numbers and its limits. Of other processes nothing is seen that not
    // everybody sees: Landlock guards the rest as it guards against debuggers.
    ("/proc", Right::Read), ("/sys/fs/cgroup", Right::Read), ("/sys/devices/system/cpu", Right::Read),
    ("/dev/null", Right::Device), ("/dev/urandom", Right::Read), ("/dev/random", Right::Read),
    ("/etc/localtime", Right::Read), ("/usr/share/zoneinfo", Right::Read),
];

/// What a program that is run needs besides.
#[rustfmt::skip]
const PROGRAMS: &[(&str, Right)] = &[
    ("/lib", Right::Run), ("/lib64", Right::Run), ("/usr/lib", Right::Run), ("/usr/lib64", Right::Run),
];

/// What a program of the operator's needs besides: it may be a script that calls others.
#[rustfmt::skip]
const SCRIPTS: &[(&str, Right)] = &[
    ("/bin", Right::Run), ("/sbin", Right::Run), ("/usr/bin", Right::Run), ("/usr/sbin", Right::Run),
    ("/usr/local", Right::Run), ("/usr/libexec", Right::Run), ("/usr/share", Right::Read),
    ("/opt", Right::Run), ("/tmp", Right::Keep), ("/var/tmp", Right::Keep), ("/dev/tty", Right::Device),
    ("/etc/passwd", Right::Read), ("/etc/group", Right::Read),
];

/// Folders that hold too much to be allowed for the sake of one file in them.
#[rustfmt::skip]
const BROAD: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/local",
    "/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share", "/usr/sbin",
    "/usr/share", "/var", "/var/lib", "/var/tmp",
];

/// One path and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) path: PathBuf,
    pub(super) right: Right,
}

/// All that is left.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    all: Vec<Allowed>,
    programs: bool,
}

impl Paths {
    /// What is left to a gateway with this policy.
    pub(super) fn of(grounds: Grounds<'_>) -> Self {
        let Grounds { policy, settings, needs } = grounds;
        let mut paths = Self::default();
        paths.table(SYSTEM);
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let named = std::env::var_os(variable);
            for path in named.iter().flat_map(std::env::split_paths) {
                paths.allow(&path, Right::Read);
            }
        }
        // Whoever asks for names may have a folder of its own behind a link.
        paths.around(Path::new("/etc/resolv.conf"), Right::Read);
        paths.around(policy, Right::Read);
        for file in &needs.files {
            paths.around(file, Right::Read);
        }
        // It cannot be allowed before it is there. If it cannot be made, writing to it says so.
        drop(fs::create_dir_all(&settings.state));
        paths.allow(&settings.state, Right::Keep);
        if let Some(file) = &settings.log.fail2ban {
            paths.around(file, Right::Append);
        }
        if let Admin::Unix(socket) = &settings.listen.admin {
            paths.around(socket, Right::Remove);
        }
        paths.audited(settings.audit.as_ref());
        paths.programs(settings, policy);
        paths
    }

    /// What an audit reads. Of n8n's own data it asks for permissions alone, which Landlock lets
    /// everybody see, and of backups how old they are.
    fn audited(&mut self, audit: Option<&Audit>) {
        let Some(audit) = audit else { return };
        for file in &audit.env_files {
            self.around(file, Right::Read);
            // Whether git knows it: the index and the rules of the repository that it is in.
            let root = file.ancestors().skip(1).find(|it| it.join(".git").exists());
            for folder in file
                .ancestors()
                .skip(1)
                .take_while(|it| root.is_some_and(|root| it.starts_with(root)))
            {
                self.allow(&folder.join(".gitignore"), Right::Read);
            }
            for part in [".git/index", ".git/info/exclude"] {
                root.inspect(|root| self.allow(&root.join(part), Right::Read));
            }
        }
        if let Some(BackupSource::Path(path)) = &audit.backup {
            self.allow(path, Right::List);
        }
    }

    /// What is run at the policy's word.
    fn programs(&mut self, settings: &Settings, policy: &Path) {
        let hook = match &settings.tls.certificate {
            Certificate::Acme(acme) => acme.dns.as_ref().and_then(|dns| match &dns.publisher {
                Publisher::Hook(program) => Some(program),
                Publisher::Rfc2136(_) => None,
            }),
            Certificate::Files { .. } | Certificate::SelfSigned => None,
        };
        let teller = settings.audit.as_ref().and_then(|it| match &it.backup {
            Some(BackupSource::Command(program)) => Some(program),
            Some(BackupSource::Path(_)) | None => None,
        });
        let called: Vec<_> = hook.into_iter().chain(teller).collect();
        self.programs = settings.nftables || !called.is_empty();
        if self.programs {
            self.table(PROGRAMS);
        }
        if settings.nftables {
            let path = std::env::var_os("PATH").unwrap_or_default();
            for folder in std::env::split_paths(&path) {
                self.allow(&folder.join("nft"), Right::Run);
            }
        }
        if !called.is_empty() {
            self.table(SCRIPTS);
        }
        for hook in called {
            // What it may change beside itself is never the policy, or what an upgrade starts.
            let folder = |path: &Path| fs::canonicalize(path).ok()?.parent().map(Path::to_owned);
            let program = std::env::current_exe().ok();
            let mut ours = [Some(policy), program.as_deref()].into_iter().flatten();
            let own = folder(hook);
            if !ours.any(|it| {
                folder(it).is_some_and(|it| own.as_ref().is_none_or(|own| it.starts_with(own)))
            }) {
                self.around(hook, Right::Own);
            }
            // It may stand where its folder is not allowed.
            self.allow(hook, Right::Run);
        }
    }

    pub(super) fn runs_programs(&self) -> bool {
        self.programs
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Allowed> {
        self.all.iter()
    }

    fn table(&mut self, table: &[(&str, Right)]) {
        for (path, right) in table {
            self.allow(Path::new(path), *right);
        }
    }

    fn allow(&mut self, path: &Path, right: Right) {
        self.all.push(Allowed { path: path.to_owned(), right });
    }

    /// Allows `file` with its folder, and where it leads to if it is a link; the file alone where
    /// the folder holds too much.
    fn around(&mut self, file: &Path, right: Right) {
        let leads_to = fs::canonicalize(file).ok();
        for file in [Some(file), leads_to.as_deref()].into_iter().flatten() {
            let folder = file.parent().map(|it| fs::canonicalize(it).unwrap_or_else(|_| it.into()));
            match folder {
                Some(folder) if !BROAD.iter().any(|broad| folder == Path::new(broad)) => {
                    self.allow(&folder, right);
                }
                Some(_) | None => self.allow(file, right),
            }
        }
    }
}

/// How files were confined.
#[derive(Clone, Debug)]
pub(super) struct Landlocked {
    /// The interface of the kernel's that is in use.
    pub(super) abi: i32,
    /// What it does not know of what was asked.
    pub(super) lacking: Vec<String>,
}

/// What came to the kernel with which version of its interface, as far as it is used here.
/// Source: landlock(7).
const GREW: [(i32, &str); 4] = [
    (3, "files are cut short unasked (Linux 6.2)"),
    (4, "ports can be listened on (Linux 6.7)"),
    (5, "devices take any order (Linux 6.10)"),
    (6, "other processes can be signalled (Linux 6.12)"),
];

/// Leaves the calling thread and all that it starts these files and no others, and no new port to
/// listen on.
pub(super) fn confine(paths: &Paths) -> anyhow::Result<Landlocked> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::BindTcp)?
        .scope(scopes())?;
    let mut ruleset = ruleset.create()?;
    // Two rules for one path are one.
    let mut merged = BTreeMap::<&Path, BitFlags<AccessFs>>::new();
    for Allowed { path, right } in paths.iter() {
        *merged.entry(path).or_default() |= right.flags();
    }
    for (path, flags) in merged {
        // What is not there, or not to be seen, needs no rule.
        let Ok(descriptor) = PathFd::new(path) else { continue };
        let folder = fs::metadata(path).is_ok_and(|it| it.is_dir());
        let flags = if folder { flags } else { flags & AccessFs::from_file(ABI::V6) };
        if !flags.is_empty() {
            ruleset = ruleset
                .add_rule(PathBeneath::new(descriptor, flags))
                .with_context(|| path.display().to_string())?;
        }
    }
    let status = ruleset.restrict_self()?;
    match (status.ruleset, status.landlock) {
        (
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available { effective_abi, kernel_abi },
        ) => {
            let abi = kernel_abi.unwrap_or(effective_abi as i32);
            let lacking = GREW.iter().filter(|(since, _)| abi < *since);
            let told =
                |(_, what): &(i32, &str)| format!("the kernel is too old to confine all: {what}");
            Ok(Landlocked { abi, lacking: lacking.map(told).collect() })
        }
        (_, LandlockStatus::NotEnabled) => bail!("the kernel has it switched off"),
        (_, LandlockStatus::NotImplemented) => bail!("the kernel does not have it"),
        (RulesetStatus::NotEnforced, LandlockStatus::Available { .. }) => bail!("not in force"),
    }
}

/// Other processes are not signalled, and sockets without a file not spoken to, unless it is the
/// service manager's.
fn scopes() -> BitFlags<Scope> {
    let notified = std::env::var_os("NOTIFY_SOCKET");
    let abstracted = notified.is_some_and(|it| it.as_encoded_bytes().starts_with(b"@"));
    if abstracted { Scope::Signal.into() } else { Scope::Signal | Scope::AbstractUnixSocket }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_allowed_by_its_folder_unless_that_holds_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("archive");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("chain1.pem"), "").unwrap();
        let live = folder.path().join("live");
        fs::create_dir(&live).unwrap();
        std::os::unix::fs::symlink(real.join("chain1.pem"), live.join("chain.pem")).unwrap();
        let mut paths = Paths::default();
        paths.around(&live.join("chain.pem"), Right::Read);
        paths.around(Path::new("/policy.yaml"), Right::Read);
        paths.around(Path::new("/etc/passwd"), Right::Read);
        let all: Vec<_> = paths.iter().map(|it| it.path.clone()).collect();
        let folder = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(all.first(), Some(&folder.join("live")));
        assert_eq!(all.get(1), Some(&folder.join("archive")));
        assert!(all.contains(&"/policy.yaml".into()) && all.contains(&"/etc/passwd".into()));
        assert!(!all.contains(&"/".into()) && !all.contains(&"/etc".into()));
    }

    #[test]
    fn nothing_that_every_gateway_is_left_is_written_or_run() {
        for (path, right) in SYSTEM {
            assert!(matches!(right, Right::Read | Right::Device), "{path}");
            assert!(*right != Right::Device || path.starts_with("/dev/"), "{path}");
        }
    }
}
