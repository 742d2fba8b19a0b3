//! What a client sends on one connection, message by message: how much of it may be read.

use super::{
    chunks::{Chunks, Read},
    flaw::Flaw,
    head::{Follows, Head},
};
use crate::HeadSize;

/// The messages of one connection.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// How large heads may be.
    most: HeadSize,
    at: At,
    heads: u64,
    /// Whether the message asks for another protocol.
    upgrade: bool,
}

#[derive(Clone, Debug)]
enum At {
    Head(Head),
    Length(u64),
    Chunks(Chunks),
    /// After a message that asked for another protocol.
    Answer,
}

impl Default for At {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// What of some bytes may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// So many may.
    pub passed: usize,
    /// What is with the others.
    pub then: Then,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing yet: they are the beginning of a head.
    More,
    /// Whether they are messages depends on the answer to the last one.
    Answer,
    /// They are a head that is refused.
    BadHead(Flaw),
    /// They are what is no body.
    BadBody,
}

impl Wire {
    /// The messages of a connection whose heads may be so large.
    #[must_use]
    pub fn within(most: HeadSize) -> Self {
        Self { most, at: At::Head(Head::within(most)), ..Self::default() }
    }

    /// Looks at `bytes`: those that were not passed before, and those that came since.
    pub fn look(&mut self, bytes: &[u8]) -> Seen {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            let ended = match &mut self.at {
                At::Head(head) => match head.read(rest) {
                    Ok(None) => return Seen { passed, then: Then::More },
                    Err(flaw) => return Seen { passed, then: Then::BadHead(flaw) },
                    Ok(Some(head)) => {
                        passed += head.length;
                        self.heads += 1;
                        self.upgrade = head.upgrade;
                        match head.follows {
                            Follows::Nothing => true,
                            Follows::Length(length) => {
                                self.at = At::Length(length);
                                false
                            }
                            Follows::Chunks => {
                                self.at = At::Chunks(Chunks::default());
                                false
                            }
                        }
                    }
                },
                At::Length(left) => {
                    let here = u64::try_from(rest.len()).unwrap_or(u64::MAX);
                    match left.checked_sub(here) {
                        Some(more @ 1..) => {
                            *left = more;
                            return Seen { passed: bytes.len(), then: Then::More };
                        }
                        Some(0) | None => {
                            passed += usize::try_from(*left).unwrap_or(rest.len());
                            true
                        }
                    }
                }
                At::Chunks(chunks) => match chunks.read(rest) {
                    Read::More => return Seen { passed: bytes.len(), then: Then::More },
                    Read::Ended(length) => {
                        passed += length;
                        true
                    }
                    Read::Wrong(length) => {
                        return Seen { passed: passed + length, then: Then::BadBody };
                    }
                },
                At::Answer => return Seen { passed, then: Then::Answer },
            };
            if ended {
                self.at = if self.upgrade { At::Answer } else { At::Head(Head::within(self.most)) };
            }
        }
    }

    /// Goes on with the next message: the answer was that the protocol stays.
    pub fn stays(&mut self) {
        self.at = At::Head(Head::within(self.most));
    }

    /// How many heads have passed.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// The method and the target of a head that is being read; `bytes` are all that have come of
    /// it.
    pub(super) fn asked<'b>(&self, bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        match &self.at {
            At::Head(head) => head.asked(bytes),
            At::Length(_) | At::Chunks(_) | At::Answer => None,
        }
    }

    /// Whether the next bytes are a head's.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.at, At::Head(_))
    }

    /// Whether a message has begun and not ended.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.at, At::Length(_) | At::Chunks(_))
    }
}
