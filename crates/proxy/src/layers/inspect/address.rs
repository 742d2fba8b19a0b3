//! Addresses that are to get an account, and whether the policy allows them.

use gateway_n8n::FORM_LIMIT;
use gateway_policy::{Permit, Reason, Refusal};
use http::HeaderMap;

use super::{
    super::budget::{is_dry, would_refuse},
    form::unreadable,
};
use crate::{Exchange, Failure};

/// How much of the body has to be read, in bytes, if it names addresses.
pub(super) fn limit(permit: &Permit) -> Option<usize> {
    permit.addresses().map(|_| FORM_LIMIT)
}

/// Looks at the addresses that a form names.
pub(super) fn ask(
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
    if found.iter().all(|address| rule.allows(address)) {
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
