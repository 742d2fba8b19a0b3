//! What the process gives up once its listeners are open: privileges, files, system calls, core
//! dumps. It is done on the first thread while there is no other, so that every later thread, and
//! every program that is run, is confined with it.

mod calls;
mod files;
mod privileges;
mod reach;

use std::path::Path;

use anyhow::Context;
use gateway_config::{Hardening, Needs, Settings};
use gateway_telemetry::Confined;
use serde::{Deserialize, Serialize};

pub(crate) use self::reach::Reach;
use self::{
    calls::Extent,
    files::{Landlocked, Paths},
};

/// What is in force, for the operator.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Confinement {
    /// What the policy asks for.
    pub(crate) mode: String,
    /// The kernel's interface by which files are confined (Landlock); nothing if they are not.
    pub(crate) landlock: Option<i32>,
    /// Whether system calls are filtered.
    pub(crate) seccomp: bool,
    /// Whether neither this process nor what it starts gains a privilege again.
    pub(crate) no_new_privileges: bool,
    /// Whether a crash leaves no memory on the disk.
    pub(crate) no_core_dumps: bool,
    /// The capabilities that are left.
    pub(crate) capabilities: Vec<String>,
    /// What somebody should know.
    pub(crate) warnings: Vec<String>,
}

impl Confinement {
    /// What there is to say of it.
    pub(crate) fn event(&self) -> Confined {
        let Self { mode, landlock, seccomp, capabilities, warnings, .. } = self.clone();
        Confined { mode, landlock, seccomp, capabilities, warnings }
    }

    /// What a policy that insists finds missing.
    fn missing(&self) -> Vec<&'static str> {
        let parts = [
            ("files are open (Landlock)", self.landlock.is_some()),
            ("system calls are open (seccomp)", self.seccomp),
            ("privileges can be gained (no_new_privs)", self.no_new_privileges),
            ("core dumps are written", self.no_core_dumps),
        ];
        parts.into_iter().filter(|(_, held)| !held).map(|(what, _)| what).collect()
    }
}

/// What the confinement is drawn around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grounds<'g> {
    /// The policy's file.
    pub(crate) policy: &'g Path,
    pub(crate) settings: &'g Settings,
    /// What the policy refers to.
    pub(crate) needs: &'g Needs,
}

/// Confines the calling thread and all that it starts. Tells what is in force and what is in reach
/// of it.
///
/// # Errors
///
/// With `hardening: require`, what the kernel lacks.
pub(crate) fn confine(grounds: Grounds<'_>) -> anyhow::Result<(Confinement, Reach)> {
    let settings = grounds.settings;
    let mode = settings.hardening;
    let mut found = Confinement { mode: name(mode).to_owned(), ..Confinement::default() };
    // A client has one, its request another one to n8n, and there is the rest.
    let wanted = settings.connections.total.saturating_add(settings.requests.total + 100);
    if let Some(files) = privileges::open_files().filter(|it| *it < wanted as u64) {
        found.warnings.push(format!(
            "{files} files may be open (RLIMIT_NOFILE), and `limits` allow {wanted} connections"
        ));
    }
    if mode == Hardening::Off {
        found.capabilities = privileges::held();
        found.warnings.push("`hardening: off`: whoever breaks in may do what its user may".into());
        return Ok((found, Reach::unbounded()));
    }
    let mut failed = Vec::new();
    let mut note = |what: &str, done: anyhow::Result<()>| match done {
        Ok(()) => true,
        Err(why) => {
            failed.push(format!("{what}: {why:#}"));
            false
        }
    };
    found.no_core_dumps = note("core dumps", privileges::no_core_dumps());
    found.no_new_privileges = note("no_new_privs", privileges::no_new_privileges());
    note("capabilities", privileges::drop_all_but(privileges::needed(settings)));
    let paths = Paths::of(grounds);
    let mut reach = Reach::unbounded();
    match files::confine(&paths) {
        Ok(Landlocked { abi, lacking }) => {
            found.landlock = Some(abi);
            found.warnings.extend(lacking);
            reach = Reach::bounded(&paths);
        }
        Err(why) => failed.push(format!("files (Landlock): {why:#}")),
    }
    match calls::confine(Extent { programs: paths.runs_programs() }) {
        Ok(()) => found.seccomp = true,
        Err(why) => failed.push(format!("system calls (seccomp): {why:#}")),
    }
    found.capabilities = privileges::held();
    found.warnings.extend(failed);
    if privileges::is_root() {
        let better = "it runs as root: a user of its own with CAP_NET_BIND_SERVICE is enough";
        found.warnings.push(better.to_owned());
    }
    verdict(mode, &found)?;
    Ok((found, reach))
}

/// Whether what is in force is enough for the policy.
fn verdict(mode: Hardening, found: &Confinement) -> anyhow::Result<()> {
    let missing = found.missing();
    if mode != Hardening::Require || missing.is_empty() {
        return Ok(());
    }
    let why = found.warnings.join("; ");
    let missing = missing.join(", ");
    Err(anyhow::anyhow!(why)).with_context(|| {
        format!(
            "`hardening: require` and {missing}: use a kernel (5.13 or later) that has it and lets \
             this process use it, or `hardening: auto`"
        )
    })
}

fn name(mode: Hardening) -> &'static str {
    match mode {
        Hardening::Auto => "auto",
        Hardening::Require => "require",
        Hardening::Off => "off",
    }
}

/// What the helper that starts another gateway gives up: everything but what that one needs.
pub(crate) fn confine_helper() -> anyhow::Result<()> {
    privileges::no_core_dumps()?;
    privileges::no_new_privileges()?;
    privileges::drop_all_but(privileges::to_begin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Confinement {
        Confinement {
            landlock: Some(1),
            seccomp: true,
            no_new_privileges: true,
            no_core_dumps: true,
            ..Confinement::default()
        }
    }

    #[test]
    fn whoever_insists_is_told_each_thing_that_is_missing() {
        assert!(verdict(Hardening::Require, &whole()).is_ok());
        let lacks = [
            (Confinement { landlock: None, ..whole() }, "Landlock"),
            (Confinement { seccomp: false, ..whole() }, "seccomp"),
            (Confinement { no_new_privileges: false, ..whole() }, "no_new_privs"),
            (Confinement { no_core_dumps: false, ..whole() }, "core dumps"),
        ];
        for (found, what) in lacks {
            let why = verdict(Hardening::Require, &found).unwrap_err().to_string();
            assert!(why.contains(what) && why.contains("hardening: auto"), "{why}");
            assert!(verdict(Hardening::Auto, &found).is_ok(), "{what}");
        }
    }
}
