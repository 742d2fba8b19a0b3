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

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// How many bytes at the most.
    pub(super) bytes: usize,
    /// Whether one that has more, or for which there is no room, is refused; else it passes unread.
    pub(super) strict: bool,
}

/// Reads a body to its end. Gives nothing, and the body as it came, where it passes unread, with the
/// reason why it could not be read.
pub(super) async fn whole<B>(
    body: &mut Guarded<B>,
    most: Most,
    room: &Arc<Room>,
    exchange: &Exchange,
) -> Result<Result<Bytes, Reason>, Failure>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let unread = |reason: Reason| if most.strict { Err(reason.into()) } else { Ok(Err(reason)) };
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > most.bytes {
        return unread(Reason::BodyTooLarge);
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
        let too_much = if length > most.bytes {
            Some(Reason::BodyTooLarge)
        } else {
            (!share.reaches(length)).then_some(Reason::Overloaded)
        };
        bytes.extend_from_slice(&data);
        if let Some(reason) = too_much {
            body.give_back(Bytes::from_owner(Held { bytes, _share: share }));
            return unread(reason);
        }
    }
    // Wiped when the last of it has gone to n8n: there may be a password in it.
    Ok(Ok(Bytes::from_owner(Held { bytes, _share: share })))
}
