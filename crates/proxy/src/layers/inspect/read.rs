//! A body is read to its end.

use bytes::Bytes;
use gateway_n8n::FORM_LIMIT;
use gateway_policy::Reason;
use http_body::Body;
use http_body_util::BodyExt;
use zeroize::Zeroizing;

use crate::{Cut, Exchange, Failure, Guarded};

/// Reads a body of at most `limit` bytes to its end.
pub(super) async fn whole<B>(
    body: &mut Guarded<B>,
    limit: usize,
    exchange: &Exchange,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut read = Zeroizing::new(Vec::with_capacity(expected.min(limit).min(FORM_LIMIT)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| match (why, exchange.was_cut()) {
            (Cut::Refused(reason), _) | (_, Some(reason)) => Failure::from(reason),
            (Cut::Silent | Cut::Broken(_), None) => Failure::from(Reason::BodyMalformed),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(Reason::BodyTooLarge.into());
        }
        read.extend_from_slice(&data);
    }
    // Wiped when the last of it has gone to n8n: there may be a password in it.
    Ok(Bytes::from_owner(read))
}
