//! The table of reasons: every way a request can be refused, and nothing else of it.

use gateway_n8n::{Audience, KEY_FORBIDDEN, KEY_UNAUTHORIZED, MFA_REQUIRED, Surface, UNAUTHORIZED};
use http::StatusCode;

use crate::Offence;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The authority of the request is missing, doubled or malformed.
    BadHost,
    /// A host that the policy does not name.
    UnknownHost,
    /// The TLS handshake was for another host than the request.
    HostMismatch,
    /// A path that n8n and another reader could route differently.
    AmbiguousPath,
    /// The client is in a network that is refused everywhere.
    Denied,
    /// The surface is closed to this client.
    Closed,
    /// The surface is served by the other host.
    OtherHost,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// The body is larger than n8n takes.
    BodyTooLarge,
    /// The client stopped sending its body.
    BodyStalled,
    /// The client's bytes stopped being an HTTP body.
    BodyMalformed,
    /// The client is banned.
    Banned,
    /// One request too many.
    RateLimited,
    /// One sign-in too many on this account, or on all accounts together.
    SignInLimited,
    /// A form to sign in with that n8n could read otherwise than the gateway does.
    UnreadableForm,
    /// The surface is open to this client's address with a certificate, which it did not show.
    ClientCertificate,
    /// The bytes are no request.
    Malformed,
    /// A line that does not end as HTTP's do: the slip of small programs.
    LineEnd,
    /// The target has bytes that are to be encoded.
    BadTarget,
    /// Where the request ends could be read in more than one way.
    AmbiguousFraming,
    /// The target is longer than any address of n8n's.
    UriTooLong,
    /// The head is larger than any of n8n's.
    HeadTooLarge,
    /// A method that nothing in n8n listens to.
    Method,
    /// The head took too long.
    HeadTimeout,
    /// The client sends its body too slowly to get anywhere.
    BodyTooSlow,
    /// There is too much to do for one more who is not known.
    Overloaded,
    /// The client asks for too much at once.
    TooManyAtOnce,
    /// The session has shown no second factor, which is insisted on.
    NoSecondFactor,
    /// What is shown in place of a session n8n made not.
    BadSession,
    /// The new password is weaker than the policy asks.
    WeakPassword,
    /// The policy allows no account for such an address.
    ForeignAddress,
    /// The session is over: the operator has ended it, or the policy lets none last so long.
    SessionEnded,
    /// The session is used from another network than before.
    SessionElsewhere,
    /// The API key is used from where it may not be.
    ApiKeyNetwork,
    /// The API key is used from another network than before.
    ApiKeyElsewhere,
    /// The API key may not do that.
    ApiKeyScope,
    /// A known attack on n8n.
    Attack,
    /// A body in which an attack could be hidden from the gateway and not from n8n.
    UnreadableBody,
    /// The call of a webhook from where it is not sent.
    WebhookSender,
    /// The call of a webhook by another method than it is sent with.
    WebhookMethod,
    /// The call of a webhook with a body of another type than it is sent with.
    WebhookType,
    /// The call of a webhook that is not signed by whoever shares its secret.
    Signature,
    /// The call of a webhook without its token or password.
    Credentials,
    /// The call of a webhook that was taken before.
    Replayed,
    /// The call of a webhook that n8n is about to answer on another connection.
    UnderWay,
}

/// How loud a refusal is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Every day.
    Info,
    /// Somebody tries something.
    Warn,
}

/// What a reason holds against the client.
#[derive(Clone, Copy, Debug)]
enum Held {
    Nothing,
    Everywhere(Offence),
    /// But where anyone may call: senders of webhooks are never banned for trying again.
    AtHome(Offence),
}

struct Row {
    reason: Reason,
    name: &'static str,
    status: StatusCode,
    level: Level,
    /// What is held against the client, and where.
    offence: Held,
    /// What the stranger may read. A closed surface says no more than that there is nothing.
    text: &'static str,
}

const fn row(
    reason: Reason,
    name: &'static str,
    status: StatusCode,
    level: Level,
    offence: Held,
    text: &'static str,
) -> Row {
    Row { reason, name, status, level, offence, text }
}

const NOTHING: &str = "There is nothing here.";

#[rustfmt::skip]
static TABLE: [Row; 45] = [
    row(Reason::BadHost, "bad_host", StatusCode::BAD_REQUEST, Level::Info, Held::Everywhere(Offence::Malformed), "The request names no valid host."),
    row(Reason::UnknownHost, "unknown_host", StatusCode::MISDIRECTED_REQUEST, Level::Info, Held::Nothing, "This host is not served here."),
    row(Reason::HostMismatch, "host_mismatch", StatusCode::MISDIRECTED_REQUEST, Level::Warn, Held::Nothing, "The connection was made for another host."),
    row(Reason::AmbiguousPath, "ambiguous_path", StatusCode::BAD_REQUEST, Level::Warn, Held::Everywhere(Offence::Malformed), "The path can be read in more than one way."),
    row(Reason::Denied, "denied", StatusCode::NOT_FOUND, Level::Info, Held::Nothing, NOTHING),
    row(Reason::Closed, "closed", StatusCode::NOT_FOUND, Level::Info, Held::Nothing, NOTHING),
    row(Reason::OtherHost, "other_host", StatusCode::NOT_FOUND, Level::Info, Held::Nothing, NOTHING),
    row(Reason::Expectation, "expectation", StatusCode::EXPECTATION_FAILED, Level::Info, Held::Nothing, "Only 100-continue can be expected."),
    row(Reason::BodyTooLarge, "body_too_large", StatusCode::PAYLOAD_TOO_LARGE, Level::Info, Held::Nothing, "The body is too large."),
    row(Reason::BodyStalled, "body_stalled", StatusCode::REQUEST_TIMEOUT, Level::Info, Held::Nothing, "The body stopped arriving."),
    row(Reason::BodyMalformed, "body_malformed", StatusCode::BAD_REQUEST, Level::Info, Held::Nothing, "The body is malformed."),
    row(Reason::Banned, "banned", StatusCode::FORBIDDEN, Level::Info, Held::Nothing, "Not from here."),
    row(Reason::RateLimited, "rate_limited", StatusCode::TOO_MANY_REQUESTS, Level::Info, Held::AtHome(Offence::Limited), "Too many requests. Try again in a moment."),
    row(Reason::SignInLimited, "sign_in_limited", StatusCode::TOO_MANY_REQUESTS, Level::Warn, Held::AtHome(Offence::Limited), "Too many attempts to sign in. Try again in a minute."),
    row(Reason::UnreadableForm, "unreadable_form", StatusCode::BAD_REQUEST, Level::Warn, Held::AtHome(Offence::Malformed), "The form cannot be read."),
    row(Reason::ClientCertificate, "client_certificate", StatusCode::FORBIDDEN, Level::Info, Held::Nothing, "A client certificate is needed here."),
    row(Reason::Malformed, "malformed", StatusCode::BAD_REQUEST, Level::Info, Held::Everywhere(Offence::Malformed), "The request is malformed."),
    row(Reason::LineEnd, "line_end", StatusCode::BAD_REQUEST, Level::Info, Held::Nothing, "Lines end with CR and LF."),
    row(Reason::BadTarget, "bad_target", StatusCode::BAD_REQUEST, Level::Info, Held::Nothing, "The address has characters that must be encoded."),
    row(Reason::AmbiguousFraming, "ambiguous_framing", StatusCode::BAD_REQUEST, Level::Warn, Held::AtHome(Offence::Malformed), "The end of the request can be read in more than one way."),
    row(Reason::UriTooLong, "uri_too_long", StatusCode::URI_TOO_LONG, Level::Info, Held::Nothing, "The address is too long."),
    row(Reason::HeadTooLarge, "head_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Level::Info, Held::Nothing, "The header fields are too large. Deleting this site's cookies may help."),
    row(Reason::Method, "method", StatusCode::METHOD_NOT_ALLOWED, Level::Info, Held::Nothing, "This method is not used here."),
    row(Reason::HeadTimeout, "head_timeout", StatusCode::REQUEST_TIMEOUT, Level::Info, Held::Everywhere(Offence::Slow), "The request did not arrive in time."),
    row(Reason::BodyTooSlow, "body_too_slow", StatusCode::REQUEST_TIMEOUT, Level::Info, Held::AtHome(Offence::Slow), "The body arrived too slowly."),
    row(Reason::Overloaded, "overloaded", StatusCode::SERVICE_UNAVAILABLE, Level::Info, Held::Nothing, "There is too much to do here right now. Try again in a moment."),
    row(Reason::TooManyAtOnce, "too_many_at_once", StatusCode::TOO_MANY_REQUESTS, Level::Info, Held::Nothing, "Too many requests at once. Wait for some of them to end."),
    row(Reason::NoSecondFactor, "no_second_factor", StatusCode::UNAUTHORIZED, Level::Info, Held::Nothing, "A second factor is needed here."),
    row(Reason::BadSession, "bad_session", StatusCode::UNAUTHORIZED, Level::Info, Held::Nothing, "Sign in again."),
    row(Reason::WeakPassword, "weak_password", StatusCode::BAD_REQUEST, Level::Info, Held::Nothing, "The password is too weak."),
    row(Reason::ForeignAddress, "foreign_address", StatusCode::BAD_REQUEST, Level::Warn, Held::Nothing, "This address cannot be used here."),
    row(Reason::SessionEnded, "session_ended", StatusCode::UNAUTHORIZED, Level::Info, Held::Nothing, "Sign in again."),
    row(Reason::SessionElsewhere, "session_elsewhere", StatusCode::UNAUTHORIZED, Level::Warn, Held::Nothing, "Sign in again."),
    // As n8n refuses a wrong key: whoever has stolen one does not learn that it is good.
    row(Reason::ApiKeyNetwork, "api_key_network", StatusCode::UNAUTHORIZED, Level::Warn, Held::Nothing, "This key is not taken."),
    row(Reason::ApiKeyElsewhere, "api_key_elsewhere", StatusCode::UNAUTHORIZED, Level::Warn, Held::Nothing, "This key is not taken."),
    // As n8n refuses a key without the scope, so that its clients understand it.
    row(Reason::ApiKeyScope, "api_key_scope", StatusCode::FORBIDDEN, Level::Info, Held::Nothing, "This key may not do that."),
    // What is held against whom depends on the attack.
    row(Reason::Attack, "attack", StatusCode::FORBIDDEN, Level::Warn, Held::Nothing, "The request looks like a known attack and was stopped."),
    row(Reason::UnreadableBody, "unreadable_body", StatusCode::BAD_REQUEST, Level::Info, Held::Nothing, "The body can be read in more than one way."),
    row(Reason::WebhookSender, "webhook_sender", StatusCode::NOT_FOUND, Level::Info, Held::Nothing, NOTHING),
    row(Reason::WebhookMethod, "webhook_method", StatusCode::NOT_FOUND, Level::Info, Held::Nothing, NOTHING),
    row(Reason::WebhookType, "webhook_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, Level::Info, Held::Nothing, "This type of content is not taken here."),
    row(Reason::Signature, "signature", StatusCode::FORBIDDEN, Level::Warn, Held::Nothing, "The signature is missing, wrong or too old."),
    row(Reason::Credentials, "credentials", StatusCode::UNAUTHORIZED, Level::Warn, Held::Nothing, "A token or a password is needed here."),
    row(Reason::Replayed, "replayed", StatusCode::FORBIDDEN, Level::Warn, Held::Nothing, "This message was taken before."),
    row(Reason::UnderWay, "under_way", StatusCode::SERVICE_UNAVAILABLE, Level::Info, Held::Nothing, "This message is being taken right now. Try again in a moment."),
];

impl Reason {
    /// Every reason, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|row| row.reason)
    }

    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The short, stable name of metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The status the client gets.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().status
    }

    /// What is held against a client that is refused for this reason on `surface`.
    #[must_use]
    pub fn offence(self, surface: Option<Surface>) -> Option<Offence> {
        let public = surface.is_some_and(|it| it.row().audience == Audience::Anyone);
        match self.row().offence {
            Held::Everywhere(offence) => Some(offence),
            Held::AtHome(offence) if !public => Some(offence),
            Held::AtHome(_) | Held::Nothing => None,
        }
    }

    /// How loud it is in the log.
    #[must_use]
    pub fn level(self) -> Level {
        self.row().level
    }

    /// What the client may read.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// What n8n itself would answer, as JSON, where its editor has to understand it.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all but a few are the gateway's own")]
    pub fn as_n8n(self) -> Option<&'static str> {
        match self {
            Self::NoSecondFactor => Some(MFA_REQUIRED),
            Self::ApiKeyNetwork | Self::ApiKeyElsewhere => Some(KEY_UNAUTHORIZED),
            Self::ApiKeyScope => Some(KEY_FORBIDDEN),
            Self::BadSession | Self::SessionEnded | Self::SessionElsewhere => Some(UNAUTHORIZED),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.reason as usize, at, "{}", row.name);
            let overloaded = row.status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(row.status.is_client_error() || overloaded);
        }
    }

    #[test]
    fn what_is_closed_cannot_be_told_from_what_is_denied() {
        let seen = |reason: Reason| (reason.status(), reason.text());
        assert_eq!(seen(Reason::Closed), seen(Reason::Denied));
        assert_eq!(seen(Reason::Closed), seen(Reason::OtherHost));
    }
}
