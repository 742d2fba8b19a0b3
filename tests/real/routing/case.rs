//! One request, as a client may write it.

use std::fmt;

/// What a client takes in answer: n8n shows its page only to those who take HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    Html,
    Json,
    Nothing,
}

/// How it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) method: &'static str,
    pub(super) target: Vec<u8>,
    pub(super) host: &'static str,
    pub(super) accepts: Accepts,
    pub(super) protocol: Protocol,
    /// Whether it asks for a WebSocket.
    pub(super) upgrade: bool,
}

impl Case {
    /// The head in HTTP/1.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        head.extend(format!("host: {}\r\n", self.host).into_bytes());
        head.extend(self.fields().into_bytes());
        head.extend(b"\r\n");
        head
    }

    fn fields(&self) -> String {
        let accepts = self.accepts.field();
        let upgrade =
            if self.upgrade { "connection: upgrade\r\nupgrade: websocket\r\n" } else { "" };
        format!("{accepts}{upgrade}")
    }
}

impl Accepts {
    /// The line that says it.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Html => "accept: text/html\r\n",
            Self::Json => "accept: application/json\r\n",
            Self::Nothing => "",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.escape_ascii();
        write!(
            f,
            "{} {target} at {} ({:?}, {:?}",
            self.method, self.host, self.protocol, self.accepts
        )?;
        f.write_str(if self.upgrade { ", upgrade)" } else { ")" })
    }
}
