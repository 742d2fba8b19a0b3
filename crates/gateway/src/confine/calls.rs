//! The system calls that are left (seccomp): one table, each group with its reason.
//!
//! What is in neither table is answered as by a kernel that does not know it (`ENOSYS`): the C
//! library and others have a way without it. What only somebody who has broken in would ask for
//! ends the process.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// How much has to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Whether the policy has programs that are run: they inherit the filter.
    pub(super) programs: bool,
}

/// System calls that are needed for one thing.
struct Group {
    reason: &'static str,
    calls: &'static [c_long],
}

/// What the gateway itself asks of a kernel.
#[rustfmt::skip]
const ALLOWED: &[Group] = &[
    Group { reason: "clients, n8n, CAs, names, the operator, the service manager", calls: &[
        libc::SYS_connect, libc::SYS_accept, libc::SYS_accept4, libc::SYS_bind, libc::SYS_getsockname, libc::SYS_getpeername,
        libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg,
        libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_shutdown, libc::SYS_socketpair,
    ] },
    Group { reason: "waiting for any of it", calls: &[
        libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_ppoll, libc::SYS_pselect6,
        libc::SYS_eventfd2, libc::SYS_pipe2,
    ] },
    Group { reason: "the policy and what it names, the state (SQLite), certificates, logs", calls: &[
        libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_preadv, libc::SYS_pwritev,
        libc::SYS_openat, libc::SYS_close, libc::SYS_close_range, libc::SYS_lseek, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx,
        libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_readlinkat, libc::SYS_getdents64, libc::SYS_getcwd,
        libc::SYS_fcntl, libc::SYS_flock, libc::SYS_dup, libc::SYS_dup3, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate,
        libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_unlinkat, libc::SYS_mkdirat,
        libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_umask,
    ] },
    Group { reason: "memory", calls: &[
        libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier, libc::SYS_mlock, libc::SYS_munlock, libc::SYS_mincore,
    ] },
    Group { reason: "threads and the end", calls: &[
        libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_rseq,
        libc::SYS_set_tid_address, libc::SYS_gettid, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_sched_getaffinity, libc::SYS_sched_yield,
        libc::SYS_sigaltstack, libc::SYS_tgkill, libc::SYS_tkill, libc::SYS_getcpu,
    ] },
    Group { reason: "time", calls: &[
        libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep, libc::SYS_gettimeofday, libc::SYS_restart_syscall,
    ] },
    Group { reason: "signals", calls: &[
        libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigtimedwait,
    ] },
    Group { reason: "who and where it is, its numbers, randomness", calls: &[
        libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_capget, libc::SYS_uname, libc::SYS_sysinfo,
        libc::SYS_getrusage, libc::SYS_getrlimit, libc::SYS_prlimit64, libc::SYS_getrandom,
    ] },
    #[cfg(target_arch = "x86_64")]
    Group { reason: "the same by their older names", calls: &[
        libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_rename, libc::SYS_unlink, libc::SYS_mkdir,
        libc::SYS_rmdir, libc::SYS_chmod, libc::SYS_dup2, libc::SYS_pipe, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait, libc::SYS_epoll_create,
        libc::SYS_eventfd, libc::SYS_time, libc::SYS_arch_prctl,
    ] },
];

/// What programs need besides: nft, and whatever a hook calls.
#[rustfmt::skip]
const PROGRAMS: &[Group] = &[
    Group { reason: "to be started and waited for", calls: &[
        libc::SYS_execve, libc::SYS_execveat, libc::SYS_wait4, libc::SYS_waitid, libc::SYS_kill, libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal,
        libc::SYS_setsid, libc::SYS_setpgid, libc::SYS_getpgid, libc::SYS_getsid, libc::SYS_prctl, libc::SYS_chdir, libc::SYS_fchdir,
    ] },
    Group { reason: "what programs of every day do", calls: &[
        libc::SYS_socket, libc::SYS_listen, libc::SYS_ioctl, libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_msync,
        libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_utimensat, libc::SYS_truncate, libc::SYS_copy_file_range, libc::SYS_sendfile, libc::SYS_splice, libc::SYS_tee,
        libc::SYS_sync, libc::SYS_syncfs, libc::SYS_fchownat, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_listxattr,
        libc::SYS_memfd_create, libc::SYS_getgroups, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setresuid,
        libc::SYS_setresgid, libc::SYS_setgroups, libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_sched_setaffinity, libc::SYS_sched_getparam,
        libc::SYS_sched_getscheduler, libc::SYS_times, libc::SYS_setitimer, libc::SYS_getitimer, libc::SYS_timer_create, libc::SYS_timer_settime,
        libc::SYS_timer_delete, libc::SYS_timerfd_create, libc::SYS_timerfd_settime, libc::SYS_setrlimit, libc::SYS_rt_sigsuspend,
        libc::SYS_rt_sigpending, libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch, libc::SYS_signalfd4,
    ] },
    #[cfg(target_arch = "x86_64")]
    Group { reason: "the same by their older names", calls: &[
        libc::SYS_fork, libc::SYS_vfork, libc::SYS_getpgrp, libc::SYS_link, libc::SYS_symlink, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime,
        libc::SYS_utimes, libc::SYS_alarm, libc::SYS_pause, libc::SYS_inotify_init, libc::SYS_signalfd,
    ] },
];

/// What ends the process.
#[rustfmt::skip]
const DEADLY: &[Group] = &[
    Group { reason: "other processes' memory", calls: &[
        libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise, libc::SYS_pidfd_getfd, libc::SYS_kcmp,
    ] },
    Group { reason: "the kernel's own code", calls: &[
        libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_bpf, libc::SYS_perf_event_open,
        libc::SYS_userfaultfd, libc::SYS_reboot,
    ] },
    Group { reason: "the kernel's keys", calls: &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl] },
    Group { reason: "another view of the machine", calls: &[
        libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare, libc::SYS_move_mount,
        libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr,
        libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at,
    ] },
    Group { reason: "the machine's clock, names and swap", calls: &[
        libc::SYS_clock_settime, libc::SYS_settimeofday, libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_sethostname, libc::SYS_setdomainname,
        libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct, libc::SYS_quotactl, libc::SYS_syslog,
    ] },
    #[cfg(target_arch = "x86_64")]
    Group { reason: "the processor's ports and segments", calls: &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt] },
];

/// Leaves the calling thread, and all that it starts, what `extent` needs.
///
/// # Errors
///
/// A kernel that has no filters.
pub(super) fn confine(extent: Extent) -> anyhow::Result<()> {
    for program in [deadly()?, allowed(extent)?] {
        apply_filter(&program)?;
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn calls(groups: &[Group]) -> impl Iterator<Item = (i64, Vec<SeccompRule>)> {
    let all = groups.iter().flat_map(|group| {
        debug_assert!(!group.reason.is_empty());
        group.calls
    });
    all.map(|call| (*call, Vec::new()))
}

fn deadly() -> anyhow::Result<BpfProgram> {
    let (known, others) = (SeccompAction::KillProcess, SeccompAction::Allow);
    let rules: Rules = calls(DEADLY).collect();
    Ok(SeccompFilter::new(rules, others, known, ARCHITECTURE)?.try_into()?)
}

fn allowed(extent: Extent) -> anyhow::Result<BpfProgram> {
    let mut rules: Rules = calls(ALLOWED).collect();
    rules.extend(conditional()?);
    if extent.programs {
        rules.extend(calls(PROGRAMS));
    }
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    Ok(SeccompFilter::new(rules, unknown, SeccompAction::Allow, ARCHITECTURE)?.try_into()?)
}

/// An argument that is one of these, looked at through a mask.
fn one_of(argument: u8, mask: u64, values: &[u64]) -> anyhow::Result<Vec<SeccompRule>> {
    let rule = |value: &u64| {
        let condition =
            SeccompCondition::new(argument, Dword, SeccompCmpOp::MaskedEq(mask), *value)?;
        Ok(SeccompRule::new(vec![condition])?)
    };
    values.iter().map(rule).collect()
}

/// The number of a flag or a kind, as a filter compares it.
fn bits(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

/// What is left with some arguments alone.
fn conditional() -> anyhow::Result<Rules> {
    let whole = u64::from(u32::MAX);
    // Networks, sockets of files, and the kernel's word on this machine's own addresses.
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(bits);
    let (write, run) = (bits(libc::PROT_WRITE), bits(libc::PROT_EXEC));
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let namespaces = namespaces.into_iter().map(bits).fold(0, |all, one| all | one);
    let naming = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA].map(bits);
    // What the standard library asks of sockets, and whoever looks for this machine's addresses.
    let orders = [
        order(libc::FIONBIO),
        order(libc::FIOCLEX),
        order(libc::FIONREAD),
        order(libc::TCGETS),
        order(libc::SIOCGIFINDEX),
    ];
    Ok([
        (libc::SYS_socket, one_of(0, whole, &families)?),
        // No code that was written is run: of the two only one.
        (libc::SYS_mmap, one_of(2, write | run, &[0, write, run])?),
        (libc::SYS_mprotect, one_of(2, run, &[0])?),
        // Threads, and no view of the machine of their own. `clone3` hides its flags: without it
        // the C library takes this one.
        (libc::SYS_clone, one_of(0, namespaces, &[0])?),
        (libc::SYS_prctl, one_of(0, whole, &naming)?),
        (libc::SYS_ioctl, one_of(1, whole, &orders)?),
    ]
    .into())
}

/// An order to a device: its number's type is the C library's own.
fn order<T: TryInto<u64>>(number: T) -> u64 {
    number.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_stands_once_and_none_is_allowed_and_deadly() {
        let own: Vec<i64> = calls(ALLOWED).map(|(call, _)| call).collect();
        let deadly: Vec<i64> = calls(DEADLY).map(|(call, _)| call).collect();
        let programs: Vec<i64> = calls(PROGRAMS).map(|(call, _)| call).collect();
        let all: Vec<i64> = [own, deadly, programs].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        let conditional = conditional().unwrap();
        assert!(calls(ALLOWED).all(|(call, _)| !conditional.contains_key(&call)));
        assert!(calls(DEADLY).all(|(call, _)| !conditional.contains_key(&call)));
        for group in ALLOWED.iter().chain(PROGRAMS).chain(DEADLY) {
            assert!(!group.reason.is_empty() && !group.calls.is_empty());
        }
    }

    #[test]
    fn programs_are_run_where_the_policy_has_some() {
        let runs = |programs| allowed(Extent { programs }).unwrap().len();
        assert!(runs(true) > runs(false));
        assert!(!deadly().unwrap().is_empty());
        assert!(calls(ALLOWED).all(|(call, _)| call != libc::SYS_execve));
    }
}
