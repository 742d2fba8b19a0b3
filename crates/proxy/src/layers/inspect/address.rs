//! Addresses that are to get an account, and whether the policy allows them.

use gateway_n8n::{FORM_LIMIT, Session};
use gateway_policy::{Permit, Reason, Refusal};
use http::HeaderMap;

use super::{
    super::budget::{is_dry, would_refuse},
    form::unreadable,
};
use crate::{Exchange, Failure, Warden};

/// How much of the body has to be read, in bytes, if it names addresses.
pub(super) fn limit(permit: &Permit) -> Option<usize> {
    permit.addresses().map(|_| FORM_LIMIT)
}

/// Looks at the addresses that a form names. Whoever keeps the one that they have signed in with keeps it,
/// whatever it is: n8n knows whose session it is, so that nobody keeps another's.
pub(super) fn ask(
    warden: &impl Warden,
    permit: &Permit,
    headers: &HeaderMap,
    form: &[u8],
    exchange: &Exchange,
) -> Result<(), Failure> {
    let (Some(wanted), Some(rule)) =
        (permit.addresses(), &exchange.rules.policy.accounts.addresses)
    else {
        return Ok(());
    };
    let found = match wanted.addresses(headers, form) {
        Ok(found) => found,
        Err(why) => return unreadable(why, exchange),
    };
    let session = Session::of(headers);
    let user = session.claims().filter(|_| wanted.is_own()).map(|claims| claims.user.as_str());
    let has =
        |address: &str| user.is_some_and(|user| warden.has_account(user, warden.account(address)));
    if found.iter().all(|address| rule.allows(address) || has(address)) {
        return Ok(());
    }
    let reason = Reason::ForeignAddress;
    if is_dry(&exchange.rules) {
        would_refuse(exchange, reason, Some(rule.source.to_string()));
        return Ok(());
    }
    let refusal = Refusal::new(reason, Some(permit.surface()), Some(rule.source));
    Err(Failure::Explained(refusal, reason.text().to_owned()))
}
