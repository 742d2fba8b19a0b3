//! Forms to sign in with. Whose account is tried has a budget of its own, wherever it is tried from.

use gateway_n8n::{Attempt, FORM_LIMIT, UnreadableForm, account};
use gateway_policy::{Per, Permit, Reason};
use http::HeaderMap;

use super::super::{
    budget::{charge, is_dry, would_refuse},
    device,
};
use crate::{Exchange, Failure, Warden, Whose};

/// How much of the body has to be read, in bytes, if it names an account.
pub(super) fn limit(permit: &Permit) -> Option<usize> {
    permit.attempt()?.account_field().map(|_| FORM_LIMIT)
}

/// Takes down which key is tried, if one is shown in the head.
pub(super) fn key<W: Warden>(
    warden: &W,
    attempt: Attempt,
    headers: &HeaderMap,
    exchange: &Exchange,
) {
    if let Some(key) = attempt.key_field().and_then(|field| headers.get(field)) {
        exchange.tries(warden.account(&String::from_utf8_lossy(key.as_bytes())), None);
    }
}

/// Takes down whose account is tried, and charges it.
pub(super) fn ask<W: Warden>(
    warden: &W,
    permit: &Permit,
    headers: &HeaderMap,
    form: &[u8],
    exchange: &Exchange,
) -> Result<(), Failure> {
    let Some(attempt) = permit.attempt() else { return Ok(()) };
    let Some(field) = attempt.account_field() else { return Ok(()) };
    if form.len() > FORM_LIMIT {
        if is_dry(&exchange.rules) {
            would_refuse(exchange, Reason::BodyTooLarge, None);
            return Ok(());
        }
        return Err(Reason::BodyTooLarge.into());
    }
    tried(warden, field, headers, form, exchange)?;
    let limits = permit.limits().iter().filter(|limit| limit.per == Per::Account);
    let case = exchange.case();
    for (limit, account) in limits.zip(std::iter::repeat(case.account)) {
        let Some(account) = account else { continue };
        let whose = match case.known.filter(|_| limit.strangers) {
            Some(by) => Whose::Known(Some(account), by),
            None => Whose::Account(account),
        };
        charge(warden, limit, whose, exchange)?;
    }
    Ok(())
}

/// What follows from a form that n8n could read otherwise, or not at all.
pub(super) fn unreadable(why: UnreadableForm, exchange: &Exchange) -> Result<(), Failure> {
    if is_dry(&exchange.rules) {
        would_refuse(exchange, Reason::UnreadableForm, Some(why.to_string()));
        return Ok(());
    }
    tracing::debug!(%why, "form");
    Err(Reason::UnreadableForm.into())
}

/// Takes down whose account is tried, and whether whoever tries has signed in to it before.
fn tried<W: Warden>(
    warden: &W,
    field: &'static str,
    headers: &HeaderMap,
    form: &[u8],
    exchange: &Exchange,
) -> Result<(), Failure> {
    let name = match account(headers, form, field) {
        Ok(name) => name,
        Err(why) => return unreadable(why, exchange),
    };
    let account = warden.account(name.expose());
    let device = device::cookie(headers);
    let client = exchange.client();
    let known = warden.knows(client, device.as_ref(), Some(account), &exchange.rules);
    exchange.tries(account, known);
    if let Some(device) = device {
        exchange.has_device(device);
    }
    Ok(())
}
