//! What of a URL may be written down.

use crate::{Surface, Tail};

/// How many bytes of a path a log line carries at the most.
const LONGEST: usize = 256;

/// The path and query of a request as they may stand in a log: what follows the first segment of
/// a webhook or a form is a secret, and so is every value of a query (tokens, signatures, OAuth
/// codes and states). Without a surface the path could be anything, and counts as secret.
///
/// ```
/// use gateway_n8n::{Surface, redact};
/// assert_eq!(redact(Some(Surface::Webhook), "/webhook/7f3c", None), "/webhook/*");
/// assert_eq!(redact(Some(Surface::Rest), "/rest/push", Some("pushRef=1&x")), "/rest/push?pushRef=*&*");
/// ```
#[must_use]
pub fn redact(surface: Option<Surface>, path: &str, query: Option<&str>) -> String {
    let secret = surface.is_some_and(|surface| surface.row().tail == Tail::Secret);
    let mut kept = String::with_capacity(path.len().min(LONGEST) + 16);
    let first = path.char_indices().skip(1).find(|(_, c)| *c == '/').map(|(at, _)| at);
    match first.filter(|_| surface.is_some()).and_then(|at| path.split_at_checked(at)) {
        Some((root, tail)) if secret && tail.len() > 1 => {
            push_bounded(&mut kept, root);
            kept.push_str("/*");
        }
        Some(_) | None if surface.is_some() => push_bounded(&mut kept, path),
        Some(_) | None => kept.push_str("/*"),
    }
    for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).take(16).enumerate() {
        kept.push(if at == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _)) => {
                push_bounded(&mut kept, key);
                kept.push_str("=*");
            }
            None => kept.push('*'),
        }
    }
    kept
}

fn push_bounded(kept: &mut String, text: &str) {
    let room = LONGEST.saturating_sub(kept.len());
    kept.extend(text.chars().filter(char::is_ascii_graphic).take(room));
    if text.len() > room {
        kept.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_survive() {
        let cases = [
            (Some(Surface::Form), "/form/S3CRET/x", None),
            (Some(Surface::WebhookWaiting), "/webhook-waiting/S3CRET", Some("signature=S3CRET")),
            (Some(Surface::Mcp), "/mcp/S3CRET", None),
            (Some(Surface::OauthCallback), "/rest/x/callback", Some("code=S3CRET&state=S3CRET")),
            (Some(Surface::Editor), "/signup", Some("token=S3CRET")),
            (Some(Surface::Webhook), "/webhook/x", Some("S3CRET")),
            (None, "//webhook/S3CRET", None),
            (None, "/webhook//S3CRET", None),
            (None, "/webhook%2FS3CRET", None),
            (None, "/webhook;S3CRET", None),
        ];
        for (surface, path, query) in cases {
            let kept = redact(surface, path, query);
            assert!(!kept.contains("S3CRET"), "{kept}");
        }
    }

    #[test]
    fn routes_survive_and_length_is_bounded() {
        assert_eq!(redact(Some(Surface::Rest), "/rest/workflows/1", None), "/rest/workflows/1");
        let long = format!("/{}", "a".repeat(10_000));
        let query = "k=v&".repeat(10_000);
        assert!(redact(Some(Surface::Editor), &long, Some(&query)).len() < 600);
    }
}
