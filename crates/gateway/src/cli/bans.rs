//! `bans`: who is banned and why; banning and letting in.

use std::{collections::HashSet, fmt::Write, fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Subcommand;
use gateway_certs::{Clock, SystemClock};
use gateway_ledger::banned_by_fail2ban;
use gateway_policy::Timestamp;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::{Exit, Running, admin_client::ask, complain, say, wait};
use crate::admin::bans::{BanView, Done, OffenceView, Wanted, WantedBan, Why, net};

#[derive(Debug, Subcommand)]
pub(super) enum Bans {
    /// Say who is banned, and until when.
    List {
        #[command(flatten)]
        gateway: Running,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Say why somebody is banned, with every offence.
    ///
    /// Exits with 0 if it is banned, with 1 if it is not.
    Why {
        #[command(flatten)]
        gateway: Running,
        /// An address, or the request id that a refused person sees.
        who: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Ban addresses or networks.
    Add {
        #[command(flatten)]
        gateway: Running,
        /// Addresses or networks.
        #[arg(required = true)]
        nets: Vec<String>,
        /// For how long: `30m`, `1h`, `1w`.
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        lasts: Duration,
        /// Why; it goes to the log.
        #[arg(long)]
        reason: String,
        /// Even if it covers this machine, a trusted proxy or a network of `bans.never`.
        #[arg(long)]
        force: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Let somebody in: lift every ban that covers an address, a network or a request id.
    Remove {
        #[command(flatten)]
        gateway: Running,
        /// An address, a network, or the request id that a refused person sees.
        who: String,
        /// Why; it goes to the log.
        #[arg(long, default_value = "no reason given")]
        reason: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Lift every ban.
    Clear {
        #[command(flatten)]
        gateway: Running,
        /// Why; it goes to the log.
        #[arg(long, default_value = "no reason given")]
        reason: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Ban what a list names, or what fail2ban has banned.
    Import {
        #[command(flatten)]
        gateway: Running,
        /// A file with an address or a network a line, `#` for comments; or, with `--fail2ban`,
        /// fail2ban's own database.
        file: PathBuf,
        /// The file is fail2ban's database; bans end when they end there.
        #[arg(long)]
        fail2ban: bool,
        /// Only of this jail of fail2ban's.
        #[arg(long, requires = "fail2ban")]
        jail: Option<String>,
        /// For how long, without `--fail2ban`.
        #[arg(long = "for", value_name = "TIME", default_value = "1w", value_parser = humantime::parse_duration, conflicts_with = "fail2ban")]
        lasts: Duration,
        /// Why; it goes to the log.
        #[arg(long)]
        reason: Option<String>,
        /// Even if it covers this machine, a trusted proxy or a network of `bans.never`.
        #[arg(long)]
        force: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn bans(command: Bans) -> anyhow::Result<Exit> {
    match command {
        Bans::List { gateway, json } => {
            let answer = wait(ask(&gateway, Method::GET, "/bans", Bytes::new()))?;
            told::<Vec<BanView>>(&answer, json, |bans| {
                if bans.is_empty() { "nobody is banned".to_owned() } else { lines(bans) }
            })
        }
        Bans::Why { gateway, who, json } => why(&gateway, &who, json),
        Bans::Add { gateway, nets, lasts, reason, force, json } => {
            let seconds = Some(lasts.as_secs());
            let ban = |net| WantedBan { net, seconds, until: None };
            let bans = nets.into_iter().map(ban).collect();
            add(&gateway, &Wanted { bans, reason, force, skip: false }, json)
        }
        Bans::Remove { gateway, who, reason, json } => {
            lift(&gateway, &format!("/bans/{}", encoded(&who)), &reason, json)
        }
        Bans::Clear { gateway, reason, json } => lift(&gateway, "/bans", &reason, json),
        Bans::Import { gateway, file, fail2ban, jail, lasts, reason, force, json } => {
            let bans = if fail2ban {
                let now = Timestamp(SystemClock.now());
                let banned = banned_by_fail2ban(&file, jail.as_deref(), now);
                let banned = banned.with_context(|| file.display().to_string())?;
                let ban = |(net, until): (ipnet::IpNet, Timestamp)| WantedBan {
                    net: net.to_string(),
                    seconds: None,
                    until: Some(until.0),
                };
                banned.into_iter().map(ban).collect()
            } else {
                listed(&file, lasts)?
            };
            let reason = reason.unwrap_or_else(|| format!("imported from {}", file.display()));
            add(&gateway, &Wanted { bans, reason, force, skip: !force }, json)
        }
    }
}

/// The addresses and networks of a list.
fn listed(file: &PathBuf, lasts: Duration) -> anyhow::Result<Vec<WantedBan>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut bans = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        if net(entry).is_none() {
            let (file, line) = (file.display(), at + 1);
            bail!("{file}:{line}: `{entry}` is neither an address nor a network");
        }
        let seconds = Some(lasts.as_secs());
        bans.push(WantedBan { net: entry.to_owned(), seconds, until: None });
    }
    Ok(bans)
}

fn add(gateway: &Running, wanted: &Wanted, json: bool) -> anyhow::Result<Exit> {
    let body = serde_json::to_vec(wanted)?;
    let answer = wait(ask(gateway, Method::POST, "/bans", body.into()))?;
    let exit = told::<Done>(&answer, json, |done| lines(&done.bans))?;
    let made = serde_json::from_slice::<Done>(&answer.1).map(|done| done.bans).unwrap_or_default();
    warn_unless_durable(&answer.1);
    let made: HashSet<ipnet::IpNet> = made.iter().map(|ban| ban.net).collect();
    let is_made = |net: ipnet::IpNet| made.contains(&net);
    for left_out in
        wanted.bans.iter().filter(|it| wanted.skip && !net(&it.net).is_some_and(is_made))
    {
        let net = &left_out.net;
        complain(&format!("left out: {net} would cover somebody who is never banned (--force)"));
    }
    Ok(exit)
}

/// What is not on disk ends with the process: whoever relies on it should know.
fn warn_unless_durable(body: &[u8]) {
    if serde_json::from_slice::<Done>(body).is_ok_and(|done| !done.durable) {
        complain("warning: kept in memory alone, the state cannot be written (see the log)");
    }
}

fn lift(gateway: &Running, path: &str, reason: &str, json: bool) -> anyhow::Result<Exit> {
    let path = format!("{path}?reason={}", encoded(reason));
    let answer = wait(ask(gateway, Method::DELETE, &path, Bytes::new()))?;
    warn_unless_durable(&answer.1);
    told::<Done>(&answer, json, |done| {
        let lifted = done.bans.iter().map(|ban| format!("{} is let in", shown(ban)));
        let lifted: Vec<String> = lifted.collect();
        if lifted.is_empty() { "nobody was banned".to_owned() } else { lifted.join("\n") }
    })
}

fn why(gateway: &Running, who: &str, json: bool) -> anyhow::Result<Exit> {
    let path = format!("/bans/{}", encoded(who));
    let answer = wait(ask(gateway, Method::GET, &path, Bytes::new()))?;
    let exit = told::<Why>(&answer, json, explained)?;
    let banned = serde_json::from_slice::<Why>(&answer.1).is_ok_and(|why| why.banned.is_some());
    Ok(if banned { exit } else { Exit::Failure })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Says what the gateway answered, or what it complains about.
pub(super) fn told<T: for<'de> Deserialize<'de>>(
    (status, body): &(StatusCode, Bytes),
    json: bool,
    describe: impl Fn(&T) -> String,
) -> anyhow::Result<Exit> {
    let value: Value = serde_json::from_slice(body)
        .with_context(|| format!("{status}: {}", String::from_utf8_lossy(body).trim()))?;
    if json {
        say(&serde_json::to_string_pretty(&value)?);
        return Ok(if status.is_success() { Exit::Success } else { Exit::Failure });
    }
    if !status.is_success() {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        complain(&format!("error: {}", text("error").unwrap_or_else(|| status.to_string())));
        if let Some(hint) = text("hint") {
            complain(&format!("  hint: {hint}"));
        }
        return Ok(Exit::Failure);
    }
    say(&describe(&serde_json::from_value(value)?));
    Ok(Exit::Success)
}

/// A single address without its length.
fn shown(ban: &BanView) -> String {
    let single = ban.net.prefix_len() == ban.net.max_prefix_len();
    if single { ban.net.addr().to_string() } else { ban.net.to_string() }
}

fn time(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

fn lines(bans: &[BanView]) -> String {
    let now = SystemClock.now();
    let line = |ban: &BanView| {
        let left = Duration::from_secs(u64::try_from(ban.until - now).unwrap_or(0));
        let left = humantime::format_duration(left).to_string();
        let jail = ban.jail.as_str();
        let why = ban.why.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        format!("{:<40} {jail:<16} until {} ({left}){why}", shown(ban), time(ban.until))
    };
    bans.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn explained(why: &Why) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let mut add = |line: String| writeln!(text, "{line}").unwrap_or_default();
    let offence = |it: &OffenceView| {
        let surface = it.surface.as_deref().unwrap_or("-");
        let request = it.request_id.as_deref().unwrap_or("-");
        let account = it.account.as_ref().map(|it| format!("  account {it}")).unwrap_or_default();
        let (at, jail, what) = (time(it.at), &it.jail, &it.offence);
        format!("  {at}  {jail:<16} {what:<20} on {surface:<14} request {request}{account}")
    };
    match &why.banned {
        Some(ban) => {
            add(format!("{} is banned", shown(ban)));
            let because = ban.because.as_ref().map(|it| format!(", the last time for {it}"));
            add(format!("jail     {}{}", ban.jail, because.unwrap_or_default()));
            add(format!("since    {}", time(ban.since)));
            add(format!("until    {}", time(ban.until)));
            add(format!("nth      {}", ban.nth));
            if let Some(by) = &ban.by {
                add(format!("by       {by}: {}", ban.why.as_deref().unwrap_or_default()));
            }
            for it in &ban.offences {
                add(offence(it));
            }
            add(format!("to let it in: n8n-gateway bans remove {}", shown(ban)));
        }
        None => add(format!("{} is not banned", why.asked)),
    }
    if let Some(exempt) = &why.exempt {
        add(format!("never banned: {exempt}"));
    }
    if !why.held.is_empty() {
        add("held against it so far:".to_owned());
        for it in &why.held {
            add(offence(it));
        }
    }
    text
}
