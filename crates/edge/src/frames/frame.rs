//! Frames of HTTP/2 as far as they are looked at: heads, flags, codes of errors (RFC 9113 4.1, 6, 7).

/// The length of a frame's head.
pub(super) const HEAD: usize = 9;

/// The largest payload that is taken: what `SETTINGS_MAX_FRAME_SIZE` is if nothing is said of it.
pub(super) const MAX_PAYLOAD: u32 = 16_384;

/// The largest window, and the largest number of a stream.
pub(super) const MAX_WINDOW: u32 = 0x7fff_ffff;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// What a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    #[default]
    Unknown,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    #[inline]
    pub(super) fn read(head: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = head;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Unknown,
        };
        // The first bit of a stream's number is to be ignored.
        let stream = u32::from_be_bytes(stream) & MAX_WINDOW;
        Self { length: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Why a stream or a connection ends (RFC 9113 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    No = 0,
    Protocol = 1,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
    /// Any other one.
    Internal = 2,
}

impl Code {
    pub(super) fn read(code: u32) -> Self {
        match code {
            0 => Self::No,
            1 => Self::Protocol,
            3 => Self::FlowControl,
            5 => Self::StreamClosed,
            6 => Self::FrameSize,
            7 => Self::RefusedStream,
            8 => Self::Cancel,
            9 => Self::Compression,
            11 => Self::EnhanceYourCalm,
            _ => Self::Internal,
        }
    }
}

/// A GOAWAY: `last` is the last stream that was looked at.
pub(super) fn go_away(last: u32, code: Code) -> [u8; 17] {
    let ([a, b, c, d], [.., e]) = (last.to_be_bytes(), (code as u32).to_be_bytes());
    [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, e]
}

/// A RST_STREAM.
pub(super) fn reset(stream: u32, code: Code) -> [u8; 13] {
    let ([a, b, c, d], [.., e]) = (stream.to_be_bytes(), (code as u32).to_be_bytes());
    [0, 0, 4, 3, 0, a, b, c, d, 0, 0, 0, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let head = |frame: &[u8]| Frame::read(frame[..HEAD].try_into().unwrap());
        let gone = go_away(0x0102_0304, Code::EnhanceYourCalm);
        assert_eq!(head(&gone), Frame { length: 8, kind: Kind::GoAway, flags: 0, stream: 0 });
        assert_eq!(gone[9..], [1, 2, 3, 4, 0, 0, 0, 11]);
        let reset = reset(5, Code::Cancel);
        assert_eq!(head(&reset), Frame { length: 4, kind: Kind::Reset, flags: 0, stream: 5 });
        assert_eq!(reset[9..], [0, 0, 0, 8]);
        for code in 0..20 {
            let known = Code::read(code) as u32;
            assert!(known == code || known == Code::Internal as u32, "{code}");
        }
    }
}
