//! Capabilities, core dumps, and the promise to gain nothing again.

use anyhow::Context;
use gateway_config::Settings;
use rustix::{
    io::Errno,
    process::{
        DumpableBehavior, Resource, Rlimit, geteuid, getrlimit, set_dumpable_behavior, setrlimit,
    },
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, configure_capability_in_ambient_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

/// What is left for what the policy asks for, once the listeners are open: nft talks to the kernel
/// in the gateway's name.
pub(super) fn needed(settings: &Settings) -> CapabilitySet {
    if settings.nftables { CapabilitySet::NET_ADMIN } else { CapabilitySet::empty() }
}

/// What a start needs: low ports, and what is left to the gateway at the most.
pub(super) fn to_begin() -> CapabilitySet {
    CapabilitySet::NET_BIND_SERVICE | CapabilitySet::NET_ADMIN
}

/// Keeps `wanted` of what there is, for programs that are run as well, and drops everything else
/// out of every set.
pub(super) fn drop_all_but(wanted: CapabilitySet) -> anyhow::Result<()> {
    let held = capabilities(None).context("capabilities")?;
    let kept = held.permitted & wanted;
    // The bounding set first: changing it is a privilege itself.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        // Whatever the kernel numbers, known here or not.
        let all = (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number));
        for one in all.filter(|one| !kept.contains(*one)) {
            match capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one).context("bounding set")?,
                // There is none with this number.
                Ok(false) | Err(Errno::INVAL) => {}
                Err(why) => return Err(why).context("bounding set"),
            }
        }
    }
    clear_ambient_capability_set().context("ambient set")?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    // Where there is nothing to drop the service manager may have taken away even the asking.
    if held != sets {
        set_capabilities(None, sets).context("permitted, effective and inheritable sets")?;
    }
    for one in kept.iter() {
        configure_capability_in_ambient_set(one, true).context("ambient set")?;
    }
    Ok(())
}

/// Lets this process open as many files as it may; how many that are, if there is a limit.
pub(super) fn open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// The names of the capabilities that this thread has.
pub(super) fn held() -> Vec<String> {
    let held = capabilities(None).map_or(CapabilitySet::empty(), |held| held.permitted);
    held.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// Whether this is the user who may everything.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// Keys and passwords in memory never go to the disk, and no other process of this user reads them.
pub(super) fn no_core_dumps() -> anyhow::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).context("limit")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("dumpable")
}

pub(super) fn no_new_privileges() -> anyhow::Result<()> {
    Ok(set_no_new_privs(true)?)
}
