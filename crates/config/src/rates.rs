//! How often what may be asked: the file's `rate_limits` over the defaults.

use std::time::Duration;

use gateway_n8n::Surface;
use gateway_policy::{Limit, Per, Quota, RateLimits, Source};

use crate::{
    access::{Surroundings, target},
    at::{At, Keyed, OneOrMany},
    raw,
    text::Rate,
};

/// A default: what is limited, who shares the budget, how many, in how many seconds, how many at
/// once.
type Default = (Surface, &'static str, Per, u32, u64, u32);

/// n8n's own limits are per process, forget at a restart and are off outside of production mode
/// (n8n `services/rate-limit.service.js`). Webhooks and chats have none.
///
/// `per: account` holds for strangers: n8n lets everybody together try one address five times a
/// minute, and strangers get to spend two of them, so that whoever has signed in before gets in.
/// `per: all` holds for strangers as well where people sign in: one password tried on many
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
    for (key, list) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let target = target(&key, around);
        let (Some((surface, path)), Some(list)) = (target, list.value) else { continue };
        let name = key_of(surface, &path);
        let written = list.0.into_iter().filter_map(|one| written(one, &name, surface, around));
        limits.set(surface, &path, written.collect(), Source::Written(key.place));
    }
    limits
}

fn key_of(surface: Surface, path: &str) -> String {
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{}{slash}{path}", surface.name())
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

fn written(
    one: At<raw::Limit>,
    key: &str,
    surface: Surface,
    around: &Surroundings<'_>,
) -> Option<Limit> {
    let session = around.session;
    let raw::Limit { per, rate, burst, dry_run } = one.value?;
    let Some(rate) = rate else {
        let hint = Some("rate: 10/min".to_owned());
        session.error(one.place, format!("`rate` is missing from `{key}`"), hint);
        return None;
    };
    let Rate((rate, period)) = rate.value?;
    let per_place = per.as_ref().map_or(one.place, |per| per.place);
    let per = match per.and_then(|per| per.value) {
        Some(raw::Per::Client) | None => Per::Client,
        Some(raw::Per::Account) => Per::Account,
        Some(raw::Per::Path) => Per::Path,
        Some(raw::Per::All) => Per::All,
    };
    if per == Per::Account && surface != Surface::SignIn {
        let hint = Some("`per: account` works below `sign-in`".to_owned());
        session.error(per_place, format!("a request to `{key}` names no account"), hint);
        return None;
    }
    let burst = match burst {
        Some(At { place, value: Some(0) }) => {
            session.error(place, "nothing would ever pass", Some("burst: 1".to_owned()));
            return None;
        }
        Some(At { value, .. }) => value?,
        None => rate,
    };
    let dry_run = dry_run.and_then(|it| it.value).unwrap_or(false);
    let quota = Quota { rate, period, burst };
    Some(limit(surface, key, per, quota, dry_run, Source::Written(one.place)))
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
