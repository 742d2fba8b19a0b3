//! A body is read to its end.

use std::sync::Arc;

use bytes::Bytes;
use gateway_policy::Reason;
use http_body::Body;
use http_body_util::BodyExt;
use zeroize::Zeroizing;

use super::room::{FREE, Room, Share};
use crate::{Cut, Exchange, Failure, Guarded};

/// A body in memory, with its share of the room that all have.
struct Held {
    bytes: Zeroizing<Vec<u8>>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most `limit` bytes to its end.
pub(super) async fn whole<B>(
    body: &mut Guarded<B>,
    limit: usize,
    room: &Arc<Room>,
    exchange: &Exchange,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(Reason::BodyTooLarge.into());
    }
    let mut share = Share::new(room, exchange.client().key);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.min(FREE)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| match (why, exchange.was_cut()) {
            (Cut::Refused(reason), _) | (_, Some(reason)) => Failure::from(reason),
            (Cut::Silent | Cut::Broken(_), None) => Failure::from(Reason::BodyMalformed),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(Reason::BodyTooLarge.into());
        }
        if !share.reaches(length) {
            return Err(Reason::Overloaded.into());
        }
        bytes.extend_from_slice(&data);
    }
    // Wiped when the last of it has gone to n8n: there may be a password in it.
    Ok(Bytes::from_owner(Held { bytes, _share: share }))
}
