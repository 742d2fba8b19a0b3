//! A body in chunks, byte by byte: how far it is sound, and where it ends (RFC 9112 7.1).

use super::class::Class;

/// The longest extension of one chunk, and the most of all of them together, in bytes. Nobody
/// sends any, and each costs its reader more than its sender.
const EXTENSION_BYTES: usize = 256;
const EXTENSIONS_BYTES: usize = 8 * 1024;

/// The most of all trailers together, in bytes, and their number. None passes.
const TRAILER_BYTES: usize = 8 * 1024;
const TRAILER_FIELDS: usize = 64;

/// The most digits of a chunk's size.
const SIZE_DIGITS: u8 = 16;

/// The largest chunk in bytes: what a signed integer holds, so that no reader's wraps.
const CHUNK_BYTES: u64 = i64::MAX as u64;

/// A body in chunks that is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    at: At,
    /// What is left of the chunk.
    left: u64,
    digits: u8,
    /// Of this chunk, and of all of them.
    extension: usize,
    extensions: usize,
    trailers: usize,
    fields: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The beginning of a trailer, or of the last line.
    Line,
    Name,
    Value,
    ValueLf,
    EndLf,
    Ended,
}

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// All that came is sound.
    More,
    /// It ends after so many bytes.
    Ended(usize),
    /// It is sound for so many bytes, and the next one is wrong.
    Wrong(usize),
}

impl Chunks {
    /// Reads on: `bytes` are those that follow the ones of the last call.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut read = 0;
        while let Some(next) = bytes.get(read) {
            if self.at == At::Data {
                let here = bytes.len() - read;
                let taken = usize::try_from(self.left).map_or(here, |left| left.min(here));
                read += taken;
                self.left -= u64::try_from(taken).unwrap_or(u64::MAX);
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.step(*next) {
                Some(at) => self.at = at,
                None => return Read::Wrong(read),
            }
            read += 1;
            if self.at == At::Ended {
                return Read::Ended(read);
            }
        }
        Read::More
    }

    /// Where one byte leads, if it may stand here.
    fn step(&mut self, next: u8) -> Option<At> {
        let at = match (self.at, next) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, _) => self.digit(next)?,
            (At::Extension | At::Value, b'\r') => {
                if self.at == At::Value {
                    At::ValueLf
                } else {
                    At::SizeLf
                }
            }
            (At::Extension, _) if Class::Extension.has(next) => {
                self.extension += 1;
                self.extensions += 1;
                let few = self.extension <= EXTENSION_BYTES && self.extensions <= EXTENSIONS_BYTES;
                few.then_some(At::Extension)?
            }
            (At::SizeLf, b'\n') => {
                (self.digits, self.extension) = (0, 0);
                if self.left == 0 { At::Line } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Line, b'\r') => At::EndLf,
            (At::Line, _) if Class::Token.has(next) => {
                self.fields += 1;
                (self.fields <= TRAILER_FIELDS).then_some(At::Name)?
            }
            (At::Name, b':') => At::Value,
            (At::Name, _) if Class::Token.has(next) => At::Name,
            (At::Value, _) if Class::Value.has(next) => At::Value,
            (At::ValueLf, b'\n') => At::Line,
            (At::EndLf, b'\n') => At::Ended,
            _ => return None,
        };
        if matches!(at, At::Name | At::Value) {
            self.trailers += 1;
        }
        (self.trailers <= TRAILER_BYTES).then_some(at)
    }

    fn digit(&mut self, next: u8) -> Option<At> {
        let digit = char::from(next).to_digit(16)?;
        self.digits += 1;
        self.left = self.left.checked_mul(16)?.checked_add(digit.into())?;
        (self.digits <= SIZE_DIGITS && self.left <= CHUNK_BYTES).then_some(At::Size)
    }
}
