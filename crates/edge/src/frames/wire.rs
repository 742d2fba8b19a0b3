//! Both directions of one connection, frame by frame: what is known of it, and what hyper says of
//! it.

use std::{fmt, io::IoSlice, time::Duration};

use gateway_policy::Cut;
use tokio::time::Instant;

use super::{
    frame::{Code, HEAD, Kind, MAX_PAYLOAD},
    limit::Counts,
    reader::{Event, PART, Reader},
    streams::Streams,
};
use crate::Bounds;

/// Why a connection ends, as its client and as the gateway hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    /// Nothing is held against whom a connection simply ends.
    pub(super) cut: Option<Cut>,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.cut.map_or("over", Cut::name))
    }
}

/// A rule of RFC 9113 that the client has broken.
pub(super) fn broken(code: Code) -> Fault {
    Fault { code, cut: Some(Cut::H2Protocol) }
}

/// Too much of something.
pub(super) fn too_much(cut: Cut) -> Fault {
    Fault { code: Code::EnhanceYourCalm, cut: Some(cut) }
}

/// The largest header list that hyper takes, and the most bytes of a header block: twice the
/// largest head, so that what is too large is refused by the stack, with an answer and a reason.
pub(crate) fn list_size(bounds: &Bounds) -> u32 {
    u32::try_from(bounds.size.bytes.saturating_mul(2)).unwrap_or(u32::MAX)
}

/// The header block that the client is sending in more than one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    /// Whether it is the last that comes on its stream.
    pub(super) last: bool,
    pub(super) bytes: u32,
    pub(super) continuations: u32,
    /// The number of its first frame.
    pub(super) first: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) begun: Instant,
    /// What comes: how much of the preface has, whether SETTINGS have, how many frames have.
    pub(super) came: Reader,
    pub(super) preface: usize,
    pub(super) settled: bool,
    pub(super) frames: u64,
    pub(super) block: Option<Block>,
    /// The kind of the last frame that may cost something.
    pub(super) last: Kind,
    /// How many SETTINGS of ours the client has not acknowledged.
    pub(super) owed: u32,
    /// The most bytes of a header block, and the most CONTINUATION frames.
    pub(super) most: (u32, u32),
    /// What goes, and whether a header block of ours has begun and not ended.
    pub(super) goes: Reader,
    pub(super) our_block: bool,
    pub(super) streams: Streams,
    pub(super) counts: Counts,
    /// The highest stream that hyper has heard of.
    passed: u32,
    /// The frame that has begun and not ended, by its number, and since when.
    unfinished: Option<(u64, Instant)>,
    /// Whether there may be something to look at again, sooner than before.
    changed: bool,
}

impl Wire {
    pub(super) fn new(bounds: &Bounds, now: Instant) -> Self {
        let block = list_size(bounds);
        // hyper's own limit, which is not to be set: a block of 32 KiB has one.
        let continuations = (block / MAX_PAYLOAD * 5 / 4).max(5);
        Self {
            begun: now,
            came: Reader::default(),
            preface: 0,
            settled: false,
            frames: 0,
            block: None,
            last: Kind::default(),
            owed: 0,
            most: (block, continuations),
            goes: Reader::default(),
            our_block: false,
            streams: Streams::new(bounds.pace, now),
            counts: Counts::of(bounds.shared),
            passed: 0,
            unfinished: Some((0, now)),
            changed: true,
        }
    }

    /// How long ago the connection began.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// The last stream that hyper has heard of.
    pub(super) fn passed(&self) -> u32 {
        self.passed
    }

    /// Takes down what the client has left unfinished, after all that came has been looked at.
    pub(super) fn passes(&mut self, now: Instant) {
        self.passed = self.streams.highest();
        // How slowly a body comes is looked at where it is read.
        let head = self.came.frame().is_none_or(|it| it.kind != Kind::Data);
        let waits = match self.block {
            _ if !self.settled => Some(0),
            Some(block) => Some(block.first),
            None if head && !self.came.is_between() => Some(self.frames),
            None => None,
        };
        if waits != self.unfinished.map(|(number, _)| number) {
            self.unfinished = waits.map(|number| (number, now));
            self.changed |= waits.is_some();
        }
    }

    /// Since when the client has left something unfinished.
    pub(super) fn unfinished(&self) -> Option<Instant> {
        self.unfinished.map(|(_, since)| since)
    }

    /// Whether there may be something to look at again, sooner than was said when this was last
    /// asked.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed) | std::mem::take(&mut self.streams.changed)
    }

    /// Whether another frame than the client's could be read now.
    pub(super) fn is_between(&self) -> bool {
        self.settled && self.came.is_between() && self.block.is_none()
    }

    /// Whether another frame than hyper's could be sent now.
    pub(super) fn is_free(&self) -> bool {
        self.goes.is_between() && !self.our_block
    }

    /// After how many bytes of `bufs` hyper gives the connection up, and why.
    pub(super) fn gives_up(&self, bufs: &[IoSlice<'_>]) -> Option<(usize, Fault)> {
        let length: usize = bufs.iter().map(|it| it.len()).sum();
        if self.goes.frame().is_some() && length < self.goes.missing() {
            return None;
        }
        let (mut reader, mut read) = (self.goes, 0);
        for buf in bufs {
            let mut rest = &**buf;
            loop {
                match reader.next(&mut rest) {
                    Event::More => break,
                    Event::Head(frame) if frame.kind == Kind::GoAway => reader.want(PART),
                    Event::Part(frame, [_, _, _, _, code @ ..]) if frame.kind == Kind::GoAway => {
                        let before = (read + buf.len() - rest.len()).saturating_sub(HEAD + PART);
                        let fault = self.meant(Code::read(u32::from_be_bytes(code)))?;
                        return Some((before, fault));
                    }
                    Event::Head(_) | Event::Part(..) | Event::End(_) => {}
                }
            }
            read += buf.len();
        }
        None
    }

    /// What hyper means by giving up with `code`.
    fn meant(&self, code: Code) -> Option<Fault> {
        match code {
            Code::No => None,
            Code::EnhanceYourCalm => Some(too_much(match self.last {
                Kind::Headers | Kind::Continuation => Cut::H2Headers,
                Kind::Data => Cut::H2Data,
                Kind::Reset => Cut::H2Resets,
                _ => Cut::H2MadeResets,
            })),
            // Every other rule has been looked at before: what is left is what a header block says,
            // which hyper does not tell apart (RFC 9113 4.3).
            Code::Protocol if self.streams.highest() > 0 => Some(broken(Code::Compression)),
            _ => Some(broken(code)),
        }
    }
}
