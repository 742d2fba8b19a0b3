//! Bans, told to nftables as well: a table with two sets that the operator's own rules drop. The
//! gateway never adds a rule, and enforces every ban itself all the same.

use std::{fmt::Write, io, process::Stdio, sync::Arc, time::Duration};

use gateway_ledger::Banned;
use gateway_policy::{Mode, Timestamp};
use gateway_proxy::Live;
use gateway_telemetry::{NftablesFailed, Telemetry};
use ipnet::IpNet;
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::Guard;

/// Changes are gathered for so long before they are told.
const GATHER: Duration = Duration::from_secs(1);

/// How long nft may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bans are told at the most, those that end last first.
const MOST: usize = 100_000;

/// Tells nftables of every change, until `stop`.
pub(crate) async fn tell(
    guard: Guard,
    mut rules: Live,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut changes = guard.changes();
    changes.mark_changed();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = rules.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        sleep(GATHER).await;
        changes.mark_unchanged();
        let policy = Arc::clone(&rules.borrow_and_update());
        let own = guard.own();
        // The kernel makes no exceptions: a ban that covers somebody who is let in is ours alone,
        // and in a dry run there is none.
        let told = guard.ledger().bans().filter(|it| {
            let site = it.by_hand.is_none() && it.net.prefix_len() < 64 && it.net.addr().is_ipv6();
            policy.policy.mode == Mode::Enforce
                && policy.policy.covers_exempt(it.net, &own).is_none()
                && !site
                && !guard.spares_sender(it, it.net.addr())
        });
        let script = script(told.take(MOST), guard.now());
        let told = timeout(PATIENCE, run(&script)).await;
        if let Err(why) = told.unwrap_or_else(|late| Err(late.into())) {
            telemetry.say(&NftablesFailed { error: why.to_string() });
            tokio::select! {
                () = sleep(PATIENCE) => changes.mark_changed(),
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Everything at once: nft takes it whole or not at all.
fn script(bans: impl Iterator<Item = Arc<Banned>>, now: Timestamp) -> String {
    let mut script = String::from("add table inet n8n_gateway\n");
    for (set, kind) in [("banned4", "ipv4_addr"), ("banned6", "ipv6_addr")] {
        let set = format!("inet n8n_gateway {set}");
        script.push_str(&format!(
            "add set {set} {{ type {kind}; flags interval, timeout; auto-merge; }}\nflush set {set}\n"
        ));
    }
    for banned in bans.filter(|it| it.ban.until > now) {
        let set = if matches!(banned.net, IpNet::V4(_)) { "banned4" } else { "banned6" };
        let (net, left) = (banned.net, banned.ban.until.since(now).as_secs());
        let line =
            writeln!(script, "add element inet n8n_gateway {set} {{ {net} timeout {left}s }}");
        // Writing to a text cannot fail.
        line.unwrap_or_default();
    }
    script
}

async fn run(script: &str) -> io::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        // If it does not listen to the end, it says why.
        drop(stdin.write_all(script.as_bytes()).await);
    }
    let output = nft.wait_with_output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.lines().next().unwrap_or("nft failed").to_owned()))
}

#[cfg(test)]
mod tests {
    use gateway_policy::{Ban, Jail};

    use super::*;

    #[test]
    fn bans_become_elements_with_the_time_they_have_left() {
        let ban = |net: &str, until| Banned {
            net: net.parse().unwrap(),
            ban: Ban {
                jail: Jail::Scan,
                because: Jail::Scan,
                since: Timestamp(0),
                until: Timestamp(until),
                nth: 1,
                notes: Vec::new(),
                dry_run: false,
            },
            by_hand: None,
        };
        let bans = [ban("192.0.2.1/32", 110), ban("2001:db8::/64", 700), ban("192.0.2.2/32", 100)];
        let script = script(bans.map(Arc::new).into_iter(), Timestamp(100));
        let elements: Vec<_> = script.lines().filter(|it| it.starts_with("add element")).collect();
        assert_eq!(
            elements,
            [
                "add element inet n8n_gateway banned4 { 192.0.2.1/32 timeout 10s }",
                "add element inet n8n_gateway banned6 { 2001:db8::/64 timeout 600s }",
            ]
        );
    }
}
