//! New passwords, and whether they are as the policy asks. Whoever has chosen a weak one reads why
//! in n8n's own form.

use gateway_n8n::{FORM_LIMIT, LONGEST_PASSWORD, texts};
use gateway_policy::{Permit, Reason, Refusal};
use http::HeaderMap;

use super::{
    super::budget::{is_dry, would_refuse},
    form::unreadable,
};
use crate::{Exchange, Failure, Warden};

/// How much of the body has to be read, in bytes, if it sets a password.
pub(super) fn limit(permit: &Permit) -> Option<usize> {
    permit.new_password().map(|_| FORM_LIMIT)
}

/// Looks at a new password, if there is one.
pub(super) async fn ask<W: Warden>(
    warden: &W,
    permit: &Permit,
    headers: &HeaderMap,
    form: &[u8],
    exchange: &Exchange,
) -> Result<(), Failure> {
    let (Some(wanted), Some(rule)) =
        (permit.new_password(), exchange.rules.policy.accounts.password)
    else {
        return Ok(());
    };
    let fields: Vec<&str> =
        std::iter::once(wanted.field).chain(wanted.hints.iter().copied()).collect();
    let mut found = match texts(headers, form, &fields) {
        Ok(found) => found.into_iter(),
        Err(why) => return unreadable(why, exchange),
    };
    // n8n refuses a form without one by itself, and one that is too long.
    let Some(password) = found.next().flatten().filter(|it| it.chars().count() <= LONGEST_PASSWORD)
    else {
        return Ok(());
    };
    let weighed = warden.weigh(password, found.flatten().collect()).await;
    let Err(weakness) = rule.judge(weighed) else { return Ok(()) };
    if is_dry(&exchange.rules) {
        would_refuse(exchange, Reason::WeakPassword, Some(rule.source.to_string()));
        return Ok(());
    }
    let refusal = Refusal::new(Reason::WeakPassword, Some(permit.surface()), Some(rule.source));
    Err(Failure::Explained(refusal, weakness.to_string()))
}
