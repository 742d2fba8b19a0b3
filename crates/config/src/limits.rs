//! How many, how large and how long.

use std::time::Duration;

use gateway_policy::Quota;

use crate::{
    Connections, HeadSize, Requests, Timeouts,
    at::{At, Keyed},
    compile::taken,
    de::Session,
    raw,
    text::{Rate, Size, Span},
};

/// The least that a client moves in the long run, in bytes a second: a twentieth of what GPRS gives.
const MIN_RATE: u64 = 256;

/// The longest that anything is waited for.
const LONGEST: Duration = Duration::from_hours(24 * 366);

const KIB: u64 = 1024;

/// How many, how large and how long.
pub(crate) struct Held {
    pub(crate) connections: Connections,
    pub(crate) requests: Requests,
    pub(crate) memory: Option<u64>,
    pub(crate) head: HeadSize,
    pub(crate) timeouts: Timeouts,
    pub(crate) min_rate: u64,
}

/// What mechanisms are held to, and what is left of the section for decisions.
pub(crate) fn limits(raw: raw::Limits, session: &Session<'_>) -> (Option<At<Keyed<Size>>>, Held) {
    let raw::Limits { body, connections, requests, memory, head, timeouts, min_rate } = raw;
    let held = Held {
        connections: connections_of(taken(connections), session),
        requests: requests_of(taken(requests), session),
        memory: memory_of(memory, session),
        head: head_of(taken(head), session),
        timeouts: timeouts_of(taken(timeouts), session),
        min_rate: min_rate.and_then(|it| it.value).map_or(MIN_RATE, |Size(bytes)| bytes),
    };
    (body, held)
}

fn connections_of(raw: raw::Connections, session: &Session<'_>) -> Connections {
    let raw::Connections { total, per_client, handshakes, rate, rate_per_client } = raw;
    let at_least_one = |field, default| at_least_one(field, default, session);
    Connections {
        total: at_least_one(total, 10_000),
        per_client: at_least_one(per_client, 100),
        handshakes: at_least_one(handshakes, 1000),
        rate: quota(rate, 1000),
        rate_per_client: quota(rate_per_client, 100),
    }
}

fn requests_of(raw: raw::Requests, session: &Session<'_>) -> Requests {
    let raw::Requests { total, per_client } = raw;
    Requests {
        total: at_least_one(total, 2000, session),
        per_client: at_least_one(per_client, 200, session),
    }
}

fn at_least_one(field: Option<At<usize>>, default: usize, session: &Session<'_>) -> usize {
    match field {
        Some(At { place, value: Some(0) }) => {
            session.error(place, "nobody could connect", None);
            default
        }
        other => other.and_then(|it| it.value).unwrap_or(default),
    }
}

/// What is not used of one period may be used in the next one.
fn quota(field: Option<At<Rate>>, default: u32) -> Option<Quota> {
    let written = field.and_then(|it| it.value);
    let (rate, period) = match written {
        Some(Rate(written)) => written?,
        None => (default, Duration::from_secs(1)),
    };
    Some(Quota { rate, period, burst: rate.saturating_mul(2) })
}

/// The least that a gateway can work with.
const LEAST_MEMORY: u64 = 64 << 20;

fn memory_of(raw: Option<At<Size>>, session: &Session<'_>) -> Option<u64> {
    let At { place, value } = raw?;
    let Size(bytes) = value?;
    if bytes < LEAST_MEMORY {
        session.error(place, "too little to work with", Some("64MiB at the least".to_owned()));
    }
    Some(bytes)
}

fn head_of(raw: raw::HeadSize, session: &Session<'_>) -> HeadSize {
    let raw::HeadSize { size, fields, target } = raw;
    let within = |field: Option<At<Size>>, default: u64, least: u64, most: u64| {
        let written = field.and_then(|it| it.value.map(|Size(bytes)| (it.place, bytes)));
        let bytes = match written {
            Some((place, bytes)) if bytes < least || bytes > most => {
                let hint = format!("{}KiB to {}KiB", least / KIB, most / KIB);
                session.error(place, "out of range", Some(hint));
                default
            }
            other => other.map_or(default, |(_, bytes)| bytes),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    };
    // hyper needs 8 KiB.
    let bytes = within(size, 32 * KIB, 8 * KIB, KIB * KIB);
    let most = u64::try_from(bytes).unwrap_or(u64::MAX);
    let fields = match fields {
        Some(At { place, value: Some(fields) }) if !(10..=1000).contains(&fields) => {
            session.error(place, "out of range", Some("10 to 1000".to_owned()));
            None
        }
        other => other.and_then(|it| it.value),
    };
    let target = within(target, (8 * KIB).min(most), KIB, most);
    HeadSize { bytes, fields: fields.unwrap_or(100), target }
}

fn timeouts_of(raw: raw::Timeouts, session: &Session<'_>) -> Timeouts {
    let raw::Timeouts { handshake, head, idle, answer, body, stream, tunnel, ping, drain } = raw;
    let or = |field: Option<At<Span>>, seconds| match field {
        Some(At { place, value: Some(Span(Duration::ZERO)) }) => {
            session.error(place, "no time at all", None);
            Duration::from_secs(seconds)
        }
        Some(At { place, value: Some(Span(written)) }) if written > LONGEST => {
            session.error(place, "longer than a year", None);
            Duration::from_secs(seconds)
        }
        other => match other.and_then(|it| it.value) {
            Some(Span(written)) => written,
            None => Duration::from_secs(seconds),
        },
    };
    Timeouts {
        handshake: or(handshake, 10),
        head: or(head, 10),
        idle: or(idle, 60),
        answer: or(answer, 300),
        body: or(body, 30),
        stream: or(stream, 3600),
        tunnel: or(tunnel, 3600),
        ping: or(ping, 90),
        drain: or(drain, 30),
    }
}
