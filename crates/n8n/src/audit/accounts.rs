//! Accounts, as n8n's public API tells of them.

use super::{Observed, User, Verdict, observed::DAY};

pub(super) fn second_factor(seen: &Observed) -> Verdict {
    of_users(seen, |it| {
        (!it.pending && !it.second_factor).then(|| format!("{} ({})", it.email, role(it)))
    })
}

pub(super) fn pending(seen: &Observed) -> Verdict {
    of_users(seen, |it| {
        let days = it.created.map(|created| (seen.now - created).max(0) / DAY);
        let since = days.map_or(String::new(), |days| format!(", for {days} days"));
        it.pending.then(|| format!("{} ({}){since}", it.email, role(it)))
    })
}

pub(super) fn admins(seen: &Observed) -> Verdict {
    Verdict::of(&seen.users, |users| {
        let powerful = |it: &&User| matches!(it.role.as_str(), "global:owner" | "global:admin");
        let all: Vec<_> = users.iter().filter(powerful).collect();
        if all.len() <= seen.bounds.admins {
            return Verdict::Fine;
        }
        Verdict::Found(all.iter().map(|it| format!("{} ({})", it.email, role(it))).collect())
    })
}

/// n8n writes an account's row down at its first request of each day, so that one whose row is old
/// was used by nobody since.
pub(super) fn unused(seen: &Observed) -> Verdict {
    of_users(seen, |it| {
        let idle = seen.now - it.updated?;
        let unused = !it.pending && idle > seen.bounds.unused;
        unused.then(|| format!("{} ({}), for {} days", it.email, role(it), idle / DAY))
    })
}

fn of_users(seen: &Observed, wrong: impl Fn(&User) -> Option<String>) -> Verdict {
    Verdict::of(&seen.users, |users| Verdict::found_in(users.iter().filter_map(wrong).collect()))
}

fn role(user: &User) -> &str {
    user.role.strip_prefix("global:").unwrap_or(&user.role)
}
