//! Classes of bytes, one look-up each.

/// A class of bytes, as a bit of [`CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// Of a method or a field's name: `tchar` (RFC 9110 5.6.2).
    Token = 1,
    /// Of a target: visible ASCII, and text in it that its sender has not encoded.
    Target = 2,
    /// Of a field's value: visible ASCII, space, tab and `obs-text` (RFC 9110 5.5).
    Value = 4,
    /// Of a chunk's extension: as of a value, ASCII alone.
    Extension = 8,
}

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed while compiling, for every byte there is"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = match byte {
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' => 15,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => 15,
            0x21..=0x7e => 14,
            b' ' | b'\t' => 12,
            0x80..=0xff => 6,
            _ => 0,
        };
        at += 1;
    }
    table
}

impl Class {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each byte")]
    pub(super) fn has(self, byte: u8) -> bool {
        CLASSES[usize::from(byte)] & self as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_rfc() {
        let all = (0..=u8::MAX).filter(|it| Class::Token.has(*it)).map(char::from);
        let said = "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~";
        assert_eq!(all.collect::<String>(), said);
    }
}
