//! The table of flaws: everything that can be wrong with a request's bytes, and for what reason each
//! is refused.

use gateway_policy::Reason;

/// What is wrong with the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flaw {
    /// No method, two spaces, a control byte, no version, or another version than 1.0 and 1.1
    /// (RFC 9112 3).
    RequestLine,
    /// A target that is neither a path nor an address of HTTP (RFC 9112 3.2).
    NoPath,
    /// A path with bytes that no URI has (RFC 3986 2).
    Target,
    /// A target of more than 8 KiB.
    LongTarget,
    /// `*`, which asks about the whole server (RFC 9112 3.2.4).
    Asterisk,
    /// `CONNECT`, after which bytes would be no messages any more (RFC 9110 9.3.6).
    Connect,
    /// A field without a name, with a space before its colon, or folded (RFC 9112 5).
    Name,
    /// A control byte in a field (RFC 9110 5.5).
    Value,
    /// CR without LF or LF without CR (RFC 9112 2.2).
    LineEnd,
    /// More than 32 KiB.
    LongHead,
    /// More than 100 fields.
    ManyFields,
    /// A `Content-Length` that is no number, or more than one (RFC 9112 6.3).
    Length,
    /// A `Transfer-Encoding` other than one `chunked`, or one in HTTP/1.0 (RFC 9112 6.1).
    Coding,
    /// Both of them (RFC 9112 6.1).
    LengthAndCoding,
    /// A head that did not end in time.
    Late,
}

struct Row {
    flaw: Flaw,
    name: &'static str,
    reason: Reason,
}

const fn row(flaw: Flaw, name: &'static str, reason: Reason) -> Row {
    Row { flaw, name, reason }
}

static TABLE: [Row; 15] = [
    row(Flaw::RequestLine, "request_line", Reason::Malformed),
    row(Flaw::NoPath, "no_path", Reason::Malformed),
    row(Flaw::Target, "target", Reason::BadTarget),
    row(Flaw::LongTarget, "long_target", Reason::UriTooLong),
    row(Flaw::Asterisk, "asterisk", Reason::Method),
    row(Flaw::Connect, "connect", Reason::Method),
    row(Flaw::Name, "field_name", Reason::Malformed),
    row(Flaw::Value, "field_value", Reason::Malformed),
    row(Flaw::LineEnd, "line_end", Reason::LineEnd),
    row(Flaw::LongHead, "long_head", Reason::HeadTooLarge),
    row(Flaw::ManyFields, "many_fields", Reason::HeadTooLarge),
    row(Flaw::Length, "length", Reason::AmbiguousFraming),
    row(Flaw::Coding, "coding", Reason::AmbiguousFraming),
    row(Flaw::LengthAndCoding, "length_and_coding", Reason::AmbiguousFraming),
    row(Flaw::Late, "late", Reason::HeadTimeout),
];

impl Flaw {
    /// Every flaw, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|row| row.flaw)
    }

    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// For what reason the request is refused.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.row().reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.flaw as usize, at, "{}", row.name);
        }
    }
}
