//! Flaws that no request tells: whoever makes use of one sends what honest people send. An operator is
//! told of those that their n8n has, and what helps beside an update.
//!
//! Source of the ranges: the advisories themselves, as of 21 November 2026.

use super::{Entry, Likeness, cve, ghsa};

/// What a group of flaws has in common.
struct Group {
    title: &'static str,
    advice: &'static str,
    /// Ids, and the releases that are affected.
    flaws: &'static [(&'static str, &'static str)],
}

/// The releases of 2026 that mended several at once.
const FEBRUARY: &str = "<1.123.22, 2.x <2.9.3, 2.10.0";
const MARCH: &str = "<1.123.27, 2.x <2.13.3, 2.14.0";
const MAY: &str = "<1.123.43, 2.x <2.20.7, >=2.21.0 <2.22.1";
const JUNE: &str = "<1.123.55, 2.x <2.25.7, 2.26.x <2.26.2";

#[rustfmt::skip]
const GROUPS: [Group; 6] = [
    Group {
        title: "Whoever writes workflows runs code on n8n's own machine, or reads its files",
        advice: "Update n8n. Until then let only those into the editor whom you trust with its machine.",
        flaws: &[
            ("CVE-2025-57749", "<1.106.0"),
            ("CVE-2025-68613", ">=0.211.0 <1.120.4, 1.121.0"),
            ("CVE-2025-68668", ">=1.0.0 <2.0.0"),
            ("CVE-2025-68697", ">=1.2.1 <2.0.0"),
            ("CVE-2026-1470", "<1.123.17, 2.x <2.4.5, 2.5.0"),
            ("CVE-2026-21877", ">=0.123.0 <1.121.3"),
            ("CVE-2026-25052", "<1.123.18, 2.x <2.5.0"),
            ("CVE-2026-25115", "<2.4.8"),
            ("CVE-2026-27494", FEBRUARY),
            ("CVE-2026-27495", FEBRUARY),
            ("CVE-2026-27577", FEBRUARY),
            ("CVE-2026-33660", MARCH),
            ("CVE-2026-33696", MARCH),
            ("CVE-2026-44789", MAY),
            ("CVE-2026-44790", MAY),
            ("CVE-2026-44791", MAY),
        ],
    },
    Group {
        title: "A page or a file that a workflow makes acts as the editor",
        advice: "Update n8n. `answers: { sandbox: true }`, the default, keeps such pages apart; hosted chats are none of them.",
        flaws: &[
            ("CVE-2025-52478", ">=1.77.0 <1.98.2"),
            ("CVE-2025-58177", ">=1.24.0 <1.107.0"),
            ("CVE-2025-61914", "<1.114.0"),
            ("CVE-2026-25051", "<1.122.5, 1.123.0, 1.123.1"),
            ("CVE-2026-27578", FEBRUARY),
            ("CVE-2026-33749", MARCH),
            ("CVE-2026-54301", JUNE),
            ("CVE-2026-56358", "<1.123.25, 2.x <2.11.2"),
        ],
    },
    Group {
        title: "A trigger takes messages that its provider has not signed",
        advice: "Update n8n. Until then have the gateway look at signatures: `webhooks`, by the webhook's path.",
        flaws: &[
            ("CVE-2026-21894", ">=0.150.0 <2.2.2"),
            ("CVE-2026-54308", "<2.25.7, 2.26.x <2.26.2"),
            ("CVE-2026-56357", "<1.123.15, 2.x <2.5.0"),
            ("GHSA-38c7-23hj-2wgq", "<1.123.18, 2.x <2.6.2"),
        ],
    },
    Group {
        title: "What a webhook is sent becomes a part of what a database or a directory is asked",
        advice: "Update n8n. Until then check in the workflow what it asks with.",
        flaws: &[
            ("CVE-2026-33751", MARCH),
            ("CVE-2026-42229", "<1.123.32, 2.x <2.17.4, 2.18.0"),
            ("CVE-2026-42233", "<1.123.32, 2.x <2.17.4, 2.18.0"),
        ],
    },
    Group {
        title: "Whoever signs in elsewhere becomes somebody else here, or more than they are",
        advice: "Update n8n. Until then let people sign in with passwords and a second factor.",
        flaws: &[
            ("CVE-2026-33665", "<1.121.0, 2.x <2.4.0"),
            ("CVE-2026-56350", "<2.8.0"),
            ("CVE-2026-65016", "<1.123.64, 2.x <2.29.8, 2.30.0"),
        ],
    },
    Group {
        title: "Credentials of others are used by the public API, through a shared workflow",
        advice: "Update n8n. Until then let only those reach `public-api` whom you trust.",
        flaws: &[("CVE-2026-54307", JUNE)],
    },
];

pub(super) fn entries() -> Vec<Entry> {
    let of_group = |group: &'static Group| {
        group.flaws.iter().map(|(id, affected)| {
            let new = if id.starts_with("CVE-") { cve } else { ghsa };
            new(id, group.title, affected, Likeness::Often).advice(group.advice)
        })
    };
    GROUPS.iter().flat_map(of_group).collect()
}
