//! A part of the machine of its own: mounts or a network that nobody else sees.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::processes::{PATIENCE, Process, eventually};

/// What is set apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Apart {
    /// What is mounted.
    Mounts,
    /// The network, with its firewall.
    Network,
}

impl Apart {
    fn flag(self) -> &'static str {
        match self {
            Self::Mounts => "--mount",
            Self::Network => "--net",
        }
    }
}

/// A namespace, in which whoever runs the tests is root. It ends with this.
#[derive(Debug)]
pub(crate) struct Namespace {
    apart: Apart,
    holder: Process,
}

impl Namespace {
    /// Makes one and prepares it with the shell's command `prepare`. `folder` is for what is said.
    pub(crate) async fn start(folder: &Path, apart: Apart, prepare: &str) -> Self {
        let script = format!("{prepare} && echo prepared && exec sleep infinity");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", apart.flag(), "sh", "-c", &script]);
        let mut holder = Process::start("unshare", &mut command, folder);
        eventually("a namespace", async || {
            let said = holder.said();
            assert!(
                !holder.has_ended(),
                "this machine lets nobody but root make namespaces (`unshare --map-root-user {}`): \
                 run the test as root, or allow user namespaces \
                 (kernel.apparmor_restrict_unprivileged_userns=0). It said: {said}",
                apart.flag()
            );
            said.contains("prepared").then_some(())
        })
        .await;
        Self { apart, holder }
    }

    /// Runs `program` inside.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", self.apart.flag()]);
        command.arg("--target").arg(self.holder.id().to_string());
        command.arg("--").arg(program).kill_on_drop(true);
        command
    }

    /// How a path inside is called from outside.
    pub(crate) fn path(&self, inside: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(inside.strip_prefix("/").unwrap())
    }
}

/// What a program says that has to succeed.
pub(crate) async fn output(mut command: Command) -> Vec<u8> {
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {}: {said}", ended.status);
    ended.stdout
}
