//! Bans, for the operator: listed, explained, made and lifted.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_ledger::{Banned, ByHand};
use gateway_n8n::Surface;
use gateway_policy::{Ban, Exempt, Jail, LONGEST_BAN, Note, Policy, Timestamp};
use http::{Response, StatusCode};
use http_body_util::Full;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{again, json};
use crate::Guard;

/// A ban, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct BanView {
    /// An address or a network.
    pub(crate) net: IpNet,
    pub(crate) jail: String,
    /// The jail that counted, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) because: Option<String>,
    /// Seconds since 1970.
    pub(crate) since: i64,
    /// Seconds since 1970.
    pub(crate) until: i64,
    /// The client's how manyth ban it is.
    pub(crate) nth: u32,
    pub(crate) offences: Vec<OffenceView>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) why: Option<String>,
}

/// An offence, as it is shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OffenceView {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) jail: String,
    pub(crate) offence: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) surface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) request_id: Option<String>,
    /// A keyed hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) account: Option<String>,
}

/// Why somebody is banned, or is not.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Why {
    pub(crate) asked: String,
    pub(crate) banned: Option<BanView>,
    /// What is held against the client without a ban.
    pub(crate) held: Vec<OffenceView>,
    /// Why it cannot be banned, if it cannot.
    pub(crate) exempt: Option<String>,
}

/// What was done by hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Done {
    pub(crate) bans: Vec<BanView>,
    /// Whether it is on disk. If it is not, it holds in memory until it can be written.
    pub(crate) durable: bool,
}

/// Bans to be made by hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) bans: Vec<WantedBan>,
    pub(crate) reason: String,
    /// Even if it covers a trusted proxy, a network of `bans.never` or this machine.
    #[serde(default)]
    pub(crate) force: bool,
    /// Leave those out instead of complaining.
    #[serde(default)]
    pub(crate) skip: bool,
}

/// One of them: for so many seconds, or until then.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedBan {
    pub(crate) net: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) until: Option<i64>,
}

/// How long a ban by hand lasts if nothing is said.
const USUALLY: Duration = Duration::from_hours(1);

/// What cannot be done for the operator, and why not.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Complaint {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Complaint {
    pub(crate) fn new(status: StatusCode, error: String, hint: Option<&str>) -> Self {
        Self { status, error, hint: hint.map(str::to_owned) }
    }

    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let answer = json(self.status, self);
        if self.status == StatusCode::SERVICE_UNAVAILABLE { again(answer) } else { answer }
    }
}

fn view(banned: &Banned) -> BanView {
    let Banned { net, ban, by_hand } = banned;
    let Ban { jail, because, since, until, nth, notes, .. } = ban;
    let offence = |note: &Note| offence(*because, note);
    BanView {
        net: *net,
        jail: jail.to_string(),
        because: (because != jail).then(|| because.to_string()),
        since: since.0,
        until: until.0,
        nth: *nth,
        offences: notes.iter().map(offence).collect(),
        by: by_hand.as_ref().map(|it| it.who.clone()),
        why: by_hand.as_ref().map(|it| it.why.clone()),
    }
}

fn offence(jail: Jail, note: &Note) -> OffenceView {
    OffenceView {
        at: note.at.0,
        jail: jail.to_string(),
        offence: note.offence.name().to_owned(),
        surface: note.surface.map(|surface: Surface| surface.name().to_owned()),
        request_id: Some(note.request).filter(|it| *it != 0).map(|it| format!("{it:016x}")),
        account: note.account.map(|it| format!("{it:016x}")),
    }
}

/// An address or a network, as people write it.
pub(crate) fn net(text: &str) -> Option<IpNet> {
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.map(|net: IpNet| match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(net).trunc(),
            None => net.trunc(),
        },
        IpNet::V4(_) | IpNet::V6(_) => net.trunc(),
    })
}

/// Every ban.
pub(crate) fn list(guard: &Guard) -> Vec<BanView> {
    guard.ledger().bans().map(|banned| view(&banned)).collect()
}

/// The bans that end last, at most so many of them.
pub(super) fn last(guard: &Guard, most: usize) -> Vec<BanView> {
    guard.ledger().last_bans(most).iter().map(|banned| view(banned)).collect()
}

/// Why whoever `asked` names is banned: by an address, a network or a request's id.
pub(crate) fn why(guard: &Guard, policy: &Policy, asked: &str) -> Result<Why, Complaint> {
    let now = guard.now();
    if let Some(net) = net(asked) {
        let client = policy.clients.client(net.addr());
        let banned = guard.ledger().banned(client.address, now);
        let held = guard.ledger().held(client, policy.clients.ipv6_prefix);
        let exempt = policy.exempt(client.address, |address| guard.is_own(address));
        return Ok(Why {
            asked: asked.to_owned(),
            banned: banned.as_deref().map(view),
            held: held.iter().map(|(jail, note)| offence(*jail, note)).collect(),
            exempt: exempt.as_ref().map(Exempt::to_string),
        });
    }
    let id = u64::from_str_radix(asked, 16).map_err(|_| {
        let error = format!("`{asked}` is neither an address nor a request's id");
        Complaint::new(StatusCode::BAD_REQUEST, error, None)
    })?;
    let banned = guard.ledger().by_request(id);
    let banned = banned.as_deref().map(view);
    Ok(Why { asked: asked.to_owned(), banned, held: Vec::new(), exempt: None })
}

/// Bans by hand; all of them or none.
pub(crate) async fn add(
    guard: &Guard,
    policy: &Policy,
    who: &str,
    wanted: Wanted,
) -> Result<Done, Complaint> {
    let (now, own) = (guard.now(), guard.own());
    let mut bans = Vec::with_capacity(wanted.bans.len());
    for one in &wanted.bans {
        let net = net(&one.net).ok_or_else(|| {
            let error = format!("`{}` is neither an address nor a network", one.net);
            Complaint::new(StatusCode::BAD_REQUEST, error, None)
        })?;
        let exempt = policy.covers_exempt(net, &own).filter(|_| !wanted.force);
        if wanted.skip && exempt.is_some() {
            continue;
        }
        if let Some(exempt) = exempt {
            let error = format!("{net} would cover {exempt}");
            let hint = "--force bans everybody else in it; that one is let in all the same";
            return Err(Complaint::new(StatusCode::CONFLICT, error, Some(hint)));
        }
        let by_hand = ByHand { who: who.to_owned(), why: wanted.reason.clone() };
        bans.push(banned(net, until(one, now), now, by_hand));
    }
    let made = guard.ledger().add(bans);
    guard.banned(&made);
    let durable = guard.settled().await;
    Ok(Done { bans: made.iter().map(|banned| view(banned)).collect(), durable })
}

fn until(one: &WantedBan, now: Timestamp) -> Timestamp {
    let lasts = one.seconds.map_or(USUALLY, Duration::from_secs).min(LONGEST_BAN);
    let until = one.until.map_or(now + lasts, Timestamp);
    // A ban that has ended already would be none.
    until.clamp(now + Duration::from_secs(1), now + LONGEST_BAN)
}

fn banned(net: IpNet, until: Timestamp, since: Timestamp, by_hand: ByHand) -> Banned {
    let (jail, because) = (Jail::Manual, Jail::Manual);
    let ban = Ban { jail, because, since, until, nth: 1, notes: Vec::new(), dry_run: false };
    Banned { net, ban, by_hand: Some(by_hand) }
}

/// Lifts the ban of whoever `asked` names, or all bans.
pub(crate) async fn lift(
    guard: &Guard,
    who: &str,
    asked: Option<&str>,
    reason: &str,
) -> Result<Done, Complaint> {
    let nets = match asked {
        None => guard.ledger().bans().map(|banned| banned.net).collect(),
        Some(asked) => named(guard, asked)?,
    };
    let lifted: Vec<Arc<Banned>> = guard.ledger().lift(&nets);
    guard.lifted(&lifted, who, reason);
    let durable = guard.settled().await;
    Ok(Done { bans: lifted.iter().map(|banned| view(banned)).collect(), durable })
}

/// The nets of every ban that covers what is asked for, or is a part of it.
fn named(guard: &Guard, asked: &str) -> Result<Vec<IpNet>, Complaint> {
    let covers = |wanted: IpNet| {
        let all = guard.ledger().bans().map(|banned| banned.net);
        all.filter(|net| net.contains(&wanted) || wanted.contains(net)).collect::<Vec<_>>()
    };
    let by_id = || u64::from_str_radix(asked, 16).ok();
    let found = match net(asked) {
        Some(wanted) => covers(wanted),
        None => by_id()
            .and_then(|id| guard.ledger().by_request(id))
            .map(|banned| banned.net)
            .into_iter()
            .collect(),
    };
    if found.is_empty() {
        let error = format!("`{asked}` is not banned");
        return Err(Complaint::new(StatusCode::NOT_FOUND, error, None));
    }
    Ok(found)
}
