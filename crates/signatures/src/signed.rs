//! What is signed, taken out of a message.

use crate::{Message, Part, Signed, Unproven, twilio::url_and_form};

/// What is signed: pieces of the message, in order. Where there is more than one spelling of what
/// was signed, each is one of them.
pub(crate) fn contents<'m>(
    signed: &'m Signed,
    message: &Message<'m>,
    timestamp: &'m str,
) -> Result<Vec<Vec<Piece<'m>>>, Unproven> {
    match signed {
        Signed::Parts(parts) => {
            let piece = |part: &'m Part| match part {
                Part::Text(text) => Ok(Piece::Given(text.as_bytes())),
                Part::Timestamp => Ok(Piece::Given(timestamp.as_bytes())),
                Part::Body => Ok(Piece::Given(message.body)),
                Part::Header(name) => {
                    let value = message.only(name)?.ok_or(Unproven::Missing)?;
                    Ok(Piece::Given(value.as_bytes()))
                }
            };
            Ok(vec![parts.iter().map(piece).collect::<Result<_, _>>()?])
        }
        Signed::UrlAndForm => url_and_form(message),
    }
}

/// A piece of what is signed.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'m> {
    /// As it stands in the message or in the scheme.
    Given(&'m [u8]),
    /// Put together.
    Made(String),
}

impl Piece<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Made(text) => text.as_bytes(),
        }
    }
}
