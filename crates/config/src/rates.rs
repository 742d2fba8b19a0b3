//! How often what may be asked: the file's `rate_limits` over the defaults.

use std::{sync::Arc, time::Duration};

use gateway_n8n::{Surface, Tail};
use gateway_policy::{Limit, Per, Place, Quota, RateLimits, Rule, Source};

use crate::{
    access::{Surroundings, target},
    at::{At, Keyed, OneOrMany},
    de::Session,
    raw,
    text::Rate,
};

/// The longest that a budget may take to come back.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// A default: what is limited, who shares the budget, how many, in how many seconds, how many at
/// once.
type Default = (Surface, &'static str, Per, u32, u64, u32);

/// n8n's own limits are per process, forget at a restart and are off outside of production mode
/// (n8n `services/rate-limit.service.js`). Webhooks and chats have none.
///
/// `per: account` is shared by strangers: n8n lets everybody together try one address five times a
/// minute, and strangers get to spend two of them, so that whoever has signed in before gets in.
/// `per: all` is shared by strangers as well where people sign in: one password tried on many
/// accounts from many addresses slows down.
#[rustfmt::skip]
const DEFAULTS: [Default; 32] = [
    (Surface::SignIn, "", Per::Client, 20, 60, 10),
    (Surface::SignIn, "", Per::Account, 1, 60, 2),
    (Surface::SignIn, "", Per::All, 30, 60, 60),
    (Surface::SignIn, "forgot-password", Per::Client, 5, 900, 5),
    (Surface::SignIn, "forgot-password", Per::Account, 1, 300, 1),
    (Surface::SignIn, "forgot-password", Per::All, 20, 60, 20),
    (Surface::SignIn, "resolve-password-token", Per::Client, 20, 300, 10),
    (Surface::SignIn, "resolve-password-token", Per::All, 60, 60, 60),
    (Surface::SignIn, "change-password", Per::Client, 20, 300, 10),
    (Surface::SignIn, "change-password", Per::All, 60, 60, 60),
    (Surface::SignIn, "resolve-change-email-token", Per::Client, 20, 300, 10),
    (Surface::SignIn, "resolve-change-email-token", Per::All, 60, 60, 60),
    (Surface::SignIn, "confirm-email-change", Per::Client, 20, 300, 10),
    (Surface::SignIn, "confirm-email-change", Per::All, 60, 60, 60),
    (Surface::SignIn, "resolve-signup-token", Per::Client, 20, 300, 10),
    (Surface::SignIn, "resolve-signup-token", Per::All, 60, 60, 60),
    (Surface::SignIn, "invitations/accept", Per::Client, 20, 300, 10),
    (Surface::SignIn, "invitations/accept", Per::All, 60, 60, 60),
    (Surface::SignIn, "owner/setup", Per::Client, 10, 300, 5),
    (Surface::SignIn, "owner/setup", Per::All, 30, 60, 30),
    (Surface::OauthServer, "mcp-oauth/register", Per::Client, 10, 300, 10),
    (Surface::OauthServer, "mcp-oauth/register", Per::All, 60, 3600, 60),
    (Surface::OauthServer, "oauth/register", Per::Client, 10, 300, 10),
    (Surface::OauthServer, "oauth/register", Per::All, 60, 3600, 60),
    (Surface::OauthServer, "mcp-oauth/token", Per::Client, 20, 60, 20),
    (Surface::OauthServer, "oauth/token", Per::Client, 20, 60, 20),
    (Surface::Chat, "", Per::Client, 60, 60, 30),
    (Surface::Webhook, "", Per::Client, 50, 1, 100),
    (Surface::WebhookWaiting, "", Per::Client, 50, 1, 100),
    (Surface::Form, "", Per::Client, 20, 1, 100),
    (Surface::FormWaiting, "", Per::Client, 20, 1, 100),
    (Surface::Mcp, "", Per::Client, 20, 1, 100),
];

pub(crate) fn rate_limits(
    raw: Option<At<Keyed<OneOrMany<raw::Limit>>>>,
    around: &Surroundings<'_>,
) -> RateLimits {
    let mut limits = RateLimits::default();
    for (surface, path, ..) in DEFAULTS {
        let here = DEFAULTS.iter().filter(|it| (it.0, it.1) == (surface, path));
        let quotas = here.map(|(.., per, rate, seconds, burst)| {
            let period = Duration::from_secs(*seconds);
            (*per, Quota { rate: *rate, period, burst: *burst })
        });
        let key = key_of(surface, path);
        let named =
            quotas.map(|(per, quota)| limit(surface, &key, per, quota, false, Source::Default));
        limits.set(surface, path, named.collect(), Source::Default);
    }
    let mut entries = Vec::new();
    for (key, list) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let target = target(&key, around);
        let (Some((surface, path)), Some(list)) = (target, list.value) else { continue };
        if surface == Surface::SignIn && !is_attempted(&path) {
            let hint =
                Some("limited are attempts: login, forgot-password, owner/setup …".to_owned());
            let message = format!("nothing is tried at `sign-in/{path}`");
            around.session.error(key.place, message, hint);
        }
        entries.push((surface, path, key.place, list));
    }
    // What is above comes first: a path inherits what is written there.
    entries.sort_by_key(|(_, path, ..)| path.split('/').filter(|it| !it.is_empty()).count());
    for (surface, path, place, list) in entries {
        let label = label(surface, &path, place);
        let merged = merged(&limits, surface, &path, &label, list, around);
        limits.set(surface, &path, merged, Source::Written(place));
    }
    limits
}

/// What is written, over what held there before: the limits of the same path, or of the nearest one
/// above it. Each `per` replaces its own, and an empty list all of them.
fn merged(
    limits: &RateLimits,
    surface: Surface,
    path: &str,
    label: &str,
    list: OneOrMany<raw::Limit>,
    around: &Surroundings<'_>,
) -> Vec<Limit> {
    if list.0.is_empty() {
        return Vec::new();
    }
    let above = |rule: &&Rule<Arc<[Limit]>>| {
        rule.path.is_empty() || rule.path == path || path.starts_with(&format!("{}/", rule.path))
    };
    let inherited = limits.of(surface).iter().filter(above).max_by_key(|rule| rule.path.len());
    let inherited = inherited.map(|rule| rule.value.iter()).into_iter().flatten();
    let mut kept: Vec<Limit> = inherited
        .map(|it| limit(surface, label, it.per, it.quota, it.dry_run, it.source))
        .collect();
    let mut seen = Vec::new();
    for one in list.0 {
        let place = one.place;
        let Some((per, written)) = written(one, label, surface, around) else { continue };
        if seen.contains(&per) {
            let message = format!("two limits per {} at one place", per.name());
            around.session.error(place, message, None);
        }
        seen.push(per);
        kept.retain(|it| it.per != per);
        kept.extend(written);
    }
    kept
}

/// Whether anything is tried at a path of the sign-in surface.
fn is_attempted(path: &str) -> bool {
    let tried = DEFAULTS.iter().filter(|it| it.0 == Surface::SignIn).map(|it| it.1);
    tried.chain(["login"]).any(|it| it == path)
}

/// How a limit is called in metrics and answers. A webhook's path is a secret: its place in the
/// policy stands for it.
fn label(surface: Surface, path: &str, place: Place) -> String {
    if surface.row().tail == Tail::Secret && !path.is_empty() {
        return format!("{} at {place}", surface.name());
    }
    key_of(surface, path)
}

fn key_of(surface: Surface, path: &str) -> String {
    let slash = if path.is_empty() { "" } else { "/" };
    // It becomes a text of a structured field (RFC 9651 3.3.3).
    let plain = path.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'));
    format!("{}{slash}{}", surface.name(), plain.collect::<String>())
}

fn limit(
    surface: Surface,
    key: &str,
    per: Per,
    quota: Quota,
    dry_run: bool,
    source: Source,
) -> Limit {
    let name = format!("{key} per {}", per.name()).into();
    let strangers = surface == Surface::SignIn && matches!(per, Per::Account | Per::All);
    Limit { name, per, quota, strangers, dry_run, source }
}

/// What one entry says: for whom, and how much; nothing for `rate: off`.
fn written(
    one: At<raw::Limit>,
    label: &str,
    surface: Surface,
    around: &Surroundings<'_>,
) -> Option<(Per, Option<Limit>)> {
    let session = around.session;
    let raw::Limit { per, rate, burst, dry_run } = one.value?;
    let Some(rate) = rate else {
        let hint = Some("rate: 10/min, or rate: off".to_owned());
        session.error(one.place, format!("`rate` is missing from `{label}`"), hint);
        return None;
    };
    let rate = rate.value?;
    let per_place = per.as_ref().map_or(one.place, |per| per.place);
    let per = match per.and_then(|per| per.value) {
        Some(raw::Per::Client) | None => Per::Client,
        Some(raw::Per::Account) => Per::Account,
        Some(raw::Per::Path) => Per::Path,
        Some(raw::Per::All) => Per::All,
    };
    if per == Per::Account && surface != Surface::SignIn {
        let hint = Some("`per: account` works below `sign-in`".to_owned());
        session.error(per_place, format!("a request to `{label}` names no account"), hint);
        return None;
    }
    let Rate(Some((rate, period))) = rate else { return Some((per, None)) };
    let dry_run = dry_run.and_then(|it| it.value).unwrap_or(false);
    let quota = quota((rate, period), burst.as_ref(), one.place, session)?;
    let source = Source::Written(one.place);
    Some((per, Some(limit(surface, label, per, quota, dry_run, source))))
}

/// How much there is of a budget; nothing if that makes no sense, which has been reported.
pub(crate) fn quota(
    (rate, period): (u32, Duration),
    burst: Option<&At<u32>>,
    place: Place,
    session: &Session<'_>,
) -> Option<Quota> {
    let burst = match burst {
        Some(At { place, value: Some(0) }) => {
            session.error(*place, "nothing would ever pass", Some("burst: 1".to_owned()));
            return None;
        }
        Some(At { value, .. }) => (*value)?,
        None => rate,
    };
    let quota = Quota { rate, period, burst };
    if quota.interval().saturating_mul(burst) > LONGEST {
        session.error(place, "so much at once would take years to come back", None);
        return None;
    }
    Some(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_met_and_stands_once() {
        for (at, (surface, path, per, rate, seconds, burst)) in DEFAULTS.iter().enumerate() {
            assert!(*rate > 0 && *seconds > 0 && *burst > 0, "{surface:?}/{path}");
            let same = |it: &Default| (it.0, it.1, it.2) == (*surface, path, *per);
            assert_eq!(DEFAULTS.iter().position(same), Some(at), "{surface:?}/{path}");
        }
    }
}
