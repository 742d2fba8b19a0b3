//! What is signed, taken out of a message.

use aws_lc_rs::digest;
use http::header;

use crate::{Message, Part, Signed, Unproven, scheme::Encoding};

/// The most values that a form may have.
const FIELDS: usize = 1000;

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

/// Twilio's: the URL as its customer wrote it, and each name and value of a form in the order of
/// names; of a body that is no form, the hash is in the URL. Whether a port is a part of the URL
/// depends on who calls, so that its own libraries try both.
///
/// Source: `twilio-node`, `src/webhooks/webhooks.ts`.
fn url_and_form<'m>(message: &Message<'m>) -> Result<Vec<Vec<Piece<'m>>>, Unproven> {
    let query = message.target.split_once('?').map_or("", |(_, query)| query);
    let mut hashes = form_urlencoded::parse(query.as_bytes());
    let hash = hashes.find(|(name, _)| name == "bodySHA256").map(|(_, hash)| hash);
    let form = match hash {
        Some(hash) => {
            let body = Encoding::Hex.write(digest::digest(&digest::SHA256, message.body).as_ref());
            // What the URL says is signed, and nothing secret.
            if hash != body.as_str() {
                return Err(Unproven::Wrong);
            }
            String::new()
        }
        None if message.body.is_empty() => String::new(),
        None if is_form(message)? => form(message.body)?,
        None => return Err(Unproven::Malformed),
    };
    let url = |authority: &str| format!("https://{authority}{}", message.target);
    let host = message.authority.rsplit_once(':').filter(|(_, port)| is_port(port));
    let authorities = [Some(message.authority), host.map(|(host, _)| host)];
    let spelled = authorities.into_iter().flatten();
    Ok(spelled.map(|it| vec![Piece::Made(url(it)), Piece::Made(form.clone())]).collect())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

fn is_form(message: &Message<'_>) -> Result<bool, Unproven> {
    let kind = message.only(&header::CONTENT_TYPE)?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // Other encodings would have to be undone before the form is read.
    let plain = message.only(&header::CONTENT_ENCODING)?.is_none();
    Ok(plain && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Names and values, by name; of a name with several values, each value once and in order.
fn form(body: &[u8]) -> Result<String, Unproven> {
    let fields: Vec<_> = form_urlencoded::parse(body).take(FIELDS + 1).collect();
    if fields.len() > FIELDS {
        return Err(Unproven::Malformed);
    }
    let mut fields = fields;
    fields.sort();
    fields.dedup();
    Ok(fields.into_iter().flat_map(|(name, value)| [name, value]).collect())
}
