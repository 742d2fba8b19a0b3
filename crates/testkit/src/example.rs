//! Requests of known attacks, and such that look like them, from `tests/known-attacks`: a file an
//! entry of the catalogue.
//!
//! A request begins with `stop` or `pass`, and with how it is sent if that is `gzip` or `websocket`;
//! then comes its head as it is sent, without a host, an empty line, and its body. `===` stands
//! between two requests. The lines of a form end with CR and LF.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};

/// A request of a known attack, or one that looks like it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The id of the catalogue's entry.
    pub entry: String,
    /// Whether it must be stopped.
    pub stops: bool,
    /// Whether it is a WebSocket's opening handshake.
    pub websocket: bool,
    /// Its first line and its fields, in the form of [`crate::Gateway::ask`].
    pub lines: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Example {
    /// Every example there is.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/known-attacks");
        let files = fs::read_dir(folder).expect("the examples");
        let mut files: Vec<_> = files.map(|it| it.expect("a file").path()).collect();
        files.sort();
        files.iter().flat_map(|file| Self::of(file)).collect()
    }

    fn of(file: &Path) -> Vec<Self> {
        let entry = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(file).expect("an example");
        text.split("===\n").map(|text| Self::read(entry.clone(), text)).collect()
    }

    fn read(entry: String, text: &str) -> Self {
        let (first, text) = text.split_once('\n').expect("`stop` or `pass`");
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.trim_end().to_owned();
        let body = body.strip_suffix('\n').unwrap_or(body);
        let mut body = if lines.contains("multipart/") {
            format!("{body}\n").replace('\n', "\r\n").into_bytes()
        } else {
            body.as_bytes().to_vec()
        };
        let mut words = first.split(' ');
        let stops = words.next() == Some("stop");
        let how = words.next();
        if how == Some("gzip") {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&body).expect("room");
            body = packed.finish().expect("room");
            lines.push_str("\ncontent-encoding: gzip");
        }
        let websocket = how == Some("websocket");
        if websocket {
            lines.push_str("\nconnection: Upgrade\nupgrade: websocket\nsec-websocket-version: 13");
            lines.push_str("\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==");
        }
        Self { entry, stops, websocket, lines, body }
    }
}
