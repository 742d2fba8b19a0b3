//! Where frames begin and end in one direction's bytes, however they come.

use super::frame::{Frame, HEAD};

/// The most bytes of a payload that are looked at in one piece.
pub(super) const PART: usize = 8;

/// Reads frames' heads, and of their payloads what is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    head: [u8; HEAD],
    /// How much of the head has come.
    have: usize,
    /// The frame that has begun, and how much of its payload is still to come.
    frame: Option<Frame>,
    left: u32,
    part: [u8; PART],
    wanted: usize,
    taken: usize,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All bytes have been read.
    More,
    /// A frame's head.
    Head(Frame),
    /// What was wanted of its payload, with zeros behind it.
    Part(Frame, [u8; PART]),
    /// The frame's end.
    End(Frame),
}

impl Reader {
    /// Reads on, up to the next event; takes what it has read off `bytes`.
    #[inline]
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Event {
        let Some(frame) = self.frame else { return self.head(bytes) };
        if self.wanted > 0 {
            return self.part(frame, bytes);
        }
        let here = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.left);
        *bytes = bytes.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or_default();
        self.left -= here;
        if self.left > 0 {
            return Event::More;
        }
        self.frame = None;
        Event::End(frame)
    }

    fn head(&mut self, bytes: &mut &[u8]) -> Event {
        let wanted = self.head.get_mut(self.have..).unwrap_or_default();
        let here = wanted.len().min(bytes.len());
        let (now, rest) = bytes.split_at_checked(here).unwrap_or_default();
        for (to, from) in wanted.iter_mut().zip(now) {
            *to = *from;
        }
        *bytes = rest;
        self.have += here;
        if self.have < HEAD {
            return Event::More;
        }
        let frame = Frame::read(self.head);
        (self.have, self.frame, self.left) = (0, Some(frame), frame.length);
        Event::Head(frame)
    }

    fn part(&mut self, frame: Frame, bytes: &mut &[u8]) -> Event {
        let wanted = self.part.get_mut(self.taken..self.wanted).unwrap_or_default();
        let here = wanted.len().min(bytes.len());
        let (now, rest) = bytes.split_at_checked(here).unwrap_or_default();
        for (to, from) in wanted.iter_mut().zip(now) {
            *to = *from;
        }
        *bytes = rest;
        self.taken += here;
        self.left = self.left.saturating_sub(u32::try_from(here).unwrap_or(u32::MAX));
        if self.taken < self.wanted {
            return Event::More;
        }
        self.wanted = 0;
        Event::Part(frame, self.part)
    }

    /// Wants the next bytes of the payload, [`PART`] at most and no more than there are.
    pub(super) fn want(&mut self, bytes: usize) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (self.wanted, self.taken, self.part) = (bytes.min(PART).min(left), 0, [0; PART]);
    }

    /// Whether no frame has begun.
    pub(super) fn is_between(&self) -> bool {
        self.frame.is_none() && self.have == 0
    }

    /// The frame that has begun; nothing if so little has come that it is not known.
    pub(super) fn frame(&self) -> Option<Frame> {
        self.frame
    }

    /// How many bytes are missing to the end of the frame, or of its head.
    pub(super) fn missing(&self) -> usize {
        match self.frame {
            Some(_) => usize::try_from(self.left).unwrap_or(usize::MAX),
            None => HEAD - self.have,
        }
    }
}
