//! A client of HTTP/2 that sends frames as it is told and hears them as they are, sound or not.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

use crate::Gateway;

/// What a client says first (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames, in the order of their numbers (RFC 9113 6).
pub const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

/// Codes of errors, in the order of their numbers (RFC 9113 7).
pub const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its kind's number.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Everything else.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of the kind that is called so.
    #[must_use]
    pub fn new(kind: &str, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        let kind = KINDS.iter().position(|it| *it == kind).expect("a kind of frame");
        let kind = u8::try_from(kind).expect("few kinds");
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// A request for `path` that is whole, or has a body to follow.
    #[must_use]
    pub fn request(method: &str, path: &str, stream: u32, whole: bool) -> Self {
        let fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "n8n.test"),
            (":path", path),
        ];
        Self::new("HEADERS", 4 + u8::from(whole), stream, block(fields))
    }

    /// WINDOW_UPDATE.
    #[must_use]
    pub fn window(stream: u32, more: u32) -> Self {
        Self::new("WINDOW_UPDATE", 0, stream, more.to_be_bytes())
    }

    /// RST_STREAM, with CANCEL.
    #[must_use]
    pub fn reset(stream: u32) -> Self {
        Self::new("RST_STREAM", 0, stream, 8_u32.to_be_bytes())
    }

    /// SETTINGS with one of them.
    #[must_use]
    pub fn setting(name: u16, value: u32) -> Self {
        let payload = [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat();
        Self::new("SETTINGS", 0, 0, payload)
    }

    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a payload of less than 4 GiB");
        let [_, a, b, c] = length.to_be_bytes();
        let mut bytes = vec![a, b, c, self.kind, self.flags];
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Its kind's name, if it has one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        KINDS.get(usize::from(self.kind)).copied().unwrap_or("?")
    }

    /// The code of an error, of RST_STREAM and of GOAWAY.
    #[must_use]
    pub fn code(&self) -> &'static str {
        let code = self.payload.get(if self.name() == "GOAWAY" { 4.. } else { 0.. });
        let code = code
            .and_then(|it| it.first_chunk::<4>())
            .map_or(u32::MAX, |it| u32::from_be_bytes(*it));
        CODES.get(usize::try_from(code).unwrap_or(usize::MAX)).copied().unwrap_or("?")
    }

    /// Whether it ends its stream.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.name() == "RST_STREAM" || (self.kind < 2 && self.flags & 1 == 1)
    }

    /// The status of the first answer on a connection: nothing is known of the tables of HPACK here.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        // A table that was made smaller is said to be first.
        let block = self.payload.strip_prefix(&[0x20]).unwrap_or(&self.payload);
        match *block {
            [first @ 0x88..=0x8e, ..] => INDEXED.get(usize::from(first - 0x88)).copied(),
            // A literal with the name of entry 8, in three digits or Huffman's code for them.
            [0x08 | 0x48, 3, a, b, c, ..] => {
                std::str::from_utf8(&[a, b, c]).ok().and_then(|it| it.parse().ok())
            }
            [0x08 | 0x48, length @ 0x82..=0x83, ref rest @ ..] => {
                digits(rest.get(..usize::from(length & 0x7f))?)
            }
            _ => None,
        }
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B).
fn digits(bytes: &[u8]) -> Option<u16> {
    let text: String = bytes.iter().map(|it| format!("{it:08b}")).collect();
    let (mut rest, mut number) = (text.as_str(), 0);
    for _ in 0..3 {
        let short = u16::from_str_radix(rest.get(..5)?, 2).ok()?;
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            (u16::from_str_radix(rest.get(..6)?, 2).ok()?.checked_sub(0b01_1001)? + 3, 6)
        };
        number = number * 10 + digit;
        rest = rest.get(length..)?;
    }
    Some(number)
}

/// A header block: each field spelled out, none of them for a table.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name.as_ref());
        text(&mut block, value.as_ref());
    }
    block
}

/// A string without Huffman's code (RFC 7541 5.2).
fn text(block: &mut Vec<u8>, text: &[u8]) {
    match text.len().checked_sub(127) {
        None => block.push(u8::try_from(text.len()).expect("less than 127")),
        Some(mut more) => {
            block.push(127);
            while more > 127 {
                block.push(u8::try_from(more % 128).expect("less than 128") | 128);
                more /= 128;
            }
            block.push(u8::try_from(more).expect("less than 128"));
        }
    }
    block.extend(text);
}

/// A connection of frames.
#[derive(Debug)]
pub struct Frames<IO = TlsStream<DuplexStream>> {
    io: IO,
    held: Vec<u8>,
}

impl Frames {
    /// Shakes hands from `from`, and says nothing more.
    pub async fn silent(gateway: &Gateway, from: &str) -> Self {
        let io = gateway.secure(gateway.dial(from), "n8n.test", "h2").await;
        Self { io: io.expect("a handshake"), held: Vec::new() }
    }

    /// Shakes hands from `from`, and says hello.
    pub async fn begin(gateway: &Gateway, from: &str) -> Self {
        let mut frames = Self::silent(gateway, from).await;
        frames.write(PREFACE).await;
        frames.send(&Frame::new("SETTINGS", 0, 0, [])).await;
        frames
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Frames<IO> {
    /// Sends bytes; whether the other side still takes them.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.io.write_all(bytes).await.is_ok() && self.io.flush().await.is_ok()
    }

    /// Sends a frame; whether the other side still takes it.
    pub async fn send(&mut self, frame: &Frame) -> bool {
        self.write(&frame.bytes()).await
    }

    /// The next frame; nothing when the connection has ended.
    ///
    /// # Errors
    ///
    /// Silence for so long.
    pub async fn next(&mut self, patience: Duration) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take() {
                if frame.name() == "PING" && frame.flags & 1 == 0 {
                    let pong = Frame { flags: 1, ..frame.clone() };
                    self.send(&pong).await;
                }
                return Ok(Some(frame));
            }
            let mut bytes = vec![0; 16 * 1024];
            let read = timeout(patience, self.io.read(&mut bytes)).await?.unwrap_or(0);
            if read == 0 {
                return Ok(None);
            }
            self.held.extend(bytes.get(..read).unwrap_or_default());
        }
    }

    /// All frames until there is silence for so long, and whether the connection has ended.
    pub async fn rest(&mut self, patience: Duration) -> (Vec<Frame>, bool) {
        let mut frames = Vec::new();
        loop {
            match self.next(patience).await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, true),
                Err(_) => return (frames, false),
            }
        }
    }

    /// All frames that come within so long, and whether the connection has ended.
    pub async fn during(&mut self, time: Duration) -> (Vec<Frame>, bool) {
        let (mut frames, end) = (Vec::new(), Instant::now() + time);
        loop {
            match self.next(end.saturating_duration_since(Instant::now())).await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, true),
                Err(_) => return (frames, false),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let (&[a, b, c, kind, flags, ref stream @ ..], rest) =
            self.held.split_first_chunk::<9>()?;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let payload = rest.get(..length)?.to_vec();
        let stream = u32::from_be_bytes(*stream.first_chunk()?);
        self.held.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }
}
