//! What happened lately, for the operator: refusals, sign-ins, limits near their edge.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway_ledger::Edge;
use gateway_telemetry::{Recent, Refusal, SignIn};
use http::Request;
use ipnet::IpNet;
use serde::Serialize;

use super::{bans::net, query};
use crate::Guard;

/// Requests that were refused, the last one first.
#[derive(Debug, Serialize)]
pub(crate) struct Refusals {
    /// The number of the last one since the start: `after` asks for what came later.
    pub(crate) last: u64,
    pub(crate) refusals: Vec<RefusalView>,
}

/// A refusal, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct RefusalView {
    pub(crate) number: u64,
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) request_id: String,
    pub(crate) client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) surface: Option<&'static str>,
    pub(crate) method: String,
    /// What is secret has been taken out.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    /// The line of the policy, or what else did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// Whether it passed all the same.
    pub(crate) dry_run: bool,
}

/// An attempt to sign in, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct SignInView {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) request_id: String,
    pub(crate) client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) surface: Option<&'static str>,
    /// A keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// Whether the client or the device had signed in to it before.
    pub(crate) known: bool,
    pub(crate) succeeded: bool,
    /// What was tried, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<&'static str>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jail: Option<&'static str>,
    /// How much the jail held against the client then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<usize>,
}

/// A budget of which little is left, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct EdgeView {
    pub(crate) limit: String,
    /// Whose budget it is; an account by a keyed hash.
    pub(crate) whose: String,
    /// The rate and the burst.
    pub(crate) quota: String,
    /// How much of the burst is used.
    pub(crate) used: u32,
    pub(crate) burst: u32,
    /// How many requests were refused for want of it.
    pub(crate) refused: u64,
}

/// Which refusals are asked for.
#[derive(Debug, Default)]
pub(crate) struct Which {
    /// Those after this one.
    pub(crate) after: u64,
    /// Those of this client.
    pub(crate) client: Option<IpNet>,
    /// The one with this id.
    pub(crate) request: Option<u64>,
}

impl Which {
    /// What a query asks for, or what of it is not understood.
    pub(super) fn asked<B>(request: &Request<B>) -> Result<Self, String> {
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number\n"));
        let address = |text: String| {
            net(&text).ok_or_else(|| format!("`{text}` is no address and no network\n"))
        };
        let id = |text: String| {
            u64::from_str_radix(&text, 16).map_err(|_| format!("`{text}` is no request's id\n"))
        };
        Ok(Self {
            after: query(request, "after").map(number).transpose()?.unwrap_or(0),
            client: query(request, "client").map(address).transpose()?,
            request: query(request, "request").map(id).transpose()?,
        })
    }

    fn fits(&self, refusal: &Refusal) -> bool {
        self.client.is_none_or(|net| net.contains(&refusal.client))
            && self.request.is_none_or(|id| id == refusal.request)
    }
}

/// Those that are asked for, as far as they are kept.
pub(crate) fn refusals(recent: &Recent, which: &Which) -> Refusals {
    let (all, last) = recent.refusals.after(which.after);
    let fit = all.into_iter().filter(|(_, it)| which.fits(it));
    Refusals { last, refusals: fit.map(|(number, it)| refusal(number, it)).collect() }
}

fn refusal(number: u64, it: Refusal) -> RefusalView {
    RefusalView {
        number,
        at: seconds(it.at),
        request_id: format!("{:016x}", it.request),
        client: it.client.to_string(),
        surface: it.surface,
        method: it.method.into(),
        path: it.path,
        status: it.status,
        reason: it.why.reason,
        rule: it.why.rule,
        dry_run: it.why.dry_run,
    }
}

/// The attempts to sign in that are kept, the last one first.
pub(crate) fn sign_ins(recent: &Recent) -> Vec<SignInView> {
    recent.sign_ins.after(0).0.into_iter().map(|(_, it)| sign_in(it)).collect()
}

fn sign_in(it: SignIn) -> SignInView {
    let failure = it.failure.as_ref();
    SignInView {
        at: seconds(it.at),
        request_id: it.request_id,
        client: it.client.to_string(),
        surface: it.surface,
        account: it.account,
        known: it.known,
        succeeded: failure.is_none(),
        attempt: failure.map(|it| it.attempt),
        because: failure.map(|it| it.because),
        jail: failure.and_then(|it| it.jail),
        count: failure.and_then(|it| it.count),
    }
}

/// Who has used up most of which limit.
pub(crate) fn limits(guard: &Guard) -> Vec<EdgeView> {
    guard.edges().into_iter().map(edge).collect()
}

fn edge(it: Edge) -> EdgeView {
    EdgeView {
        limit: it.limit.to_string(),
        whose: it.whose,
        quota: it.quota.to_string(),
        used: it.used,
        burst: it.quota.burst,
        refused: it.refused,
    }
}

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_understood_or_complained_about() {
        let request = |query: &str| Request::get(format!("/refusals?{query}")).body(()).unwrap();
        let asked = |query: &str| Which::asked(&request(query));
        let which = asked("after=7&client=192.0.2.0%2F24&request=00ff").unwrap();
        assert_eq!((which.after, which.request), (7, Some(255)));
        assert!(which.client.unwrap().contains(&"192.0.2.9".parse::<std::net::IpAddr>().unwrap()));
        for (query, said) in [("after=x", "number"), ("client=me", "address"), ("request=x", "id")]
        {
            assert!(asked(query).unwrap_err().contains(said), "{query}");
        }
    }
}
