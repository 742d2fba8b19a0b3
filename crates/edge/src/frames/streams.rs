//! The streams of one connection: which are open from whose side, and how much may be sent on each.

use gateway_policy::Pace;
use tokio::time::Instant;

use super::{
    frame::{Code, MAX_WINDOW},
    stall::Stall,
};

/// How many streams that have ended are remembered.
const REMEMBERED: usize = 64;

/// What a window is if nothing is said of it.
const WINDOW: i64 = 65_535;

/// One stream that is open.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// How much the client takes.
    pub(super) window: i64,
    /// Whether the client's message has ended.
    pub(super) asked: bool,
    /// Whether the answer has begun.
    pub(super) answered: bool,
    /// Whether the answer has ended.
    pub(super) done: bool,
    pub(super) stall: Stall,
}

/// How a stream is.
#[derive(Debug)]
pub(super) enum State<'s> {
    /// It never was.
    Idle,
    /// It is open, at least from one side.
    Open(&'s mut Stream),
    /// The client has ended it, or both sides have.
    Ended,
    /// Only we have.
    Reset,
    /// It has ended, nobody knows how any more, or it was passed over.
    Forgotten,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    /// In the order of their numbers.
    open: Vec<Stream>,
    /// The highest number so far.
    highest: u32,
    /// A new stream's window.
    initial: i64,
    /// How much the client takes on all streams together.
    window: i64,
    pub(super) stall: Stall,
    pace: Pace,
    /// The last streams that have ended, and whether the client has ended them.
    ended: [(u32, bool); REMEMBERED],
    next: usize,
    /// Since when none is open.
    pub(super) idle: Option<Instant>,
    /// Whether a window was shut since somebody looked.
    pub(super) changed: bool,
}

impl Streams {
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            open: Vec::new(),
            highest: 0,
            initial: WINDOW,
            window: WINDOW,
            stall: Stall::new(pace),
            pace,
            ended: [(0, false); REMEMBERED],
            next: 0,
            idle: Some(now),
            changed: false,
        }
    }

    pub(super) fn highest(&self) -> u32 {
        self.highest
    }

    #[inline]
    fn place(&self, id: u32) -> Result<usize, usize> {
        // Most connections have one or two streams, and most frames are for the last one.
        match self.open.last() {
            Some(last) if last.id == id => Ok(self.open.len() - 1),
            _ => self.open.binary_search_by_key(&id, |it| it.id),
        }
    }

    /// How the stream `id` is.
    #[inline]
    pub(super) fn state(&mut self, id: u32) -> State<'_> {
        if id > self.highest {
            return State::Idle;
        }
        match self.place(id) {
            Ok(at) => match self.open.get_mut(at) {
                Some(stream) => State::Open(stream),
                None => State::Forgotten,
            },
            Err(_) => match self.ended.iter().find(|(it, _)| *it == id) {
                Some((_, true)) => State::Ended,
                Some((_, false)) => State::Reset,
                None => State::Forgotten,
            },
        }
    }

    /// The client opens `id`, the highest so far.
    pub(super) fn opened(&mut self, id: u32) {
        self.highest = id;
        self.idle = None;
        let (window, stall) = (self.initial, Stall::new(self.pace));
        self.open.push(Stream { id, window, asked: false, answered: false, done: false, stall });
    }

    /// The client has sent its last byte on `id`.
    pub(super) fn asked(&mut self, id: u32, now: Instant) {
        if let State::Open(stream) = self.state(id) {
            stream.asked = true;
            if stream.done {
                self.forget(id, true, now);
            }
        }
    }

    /// We have sent the answer's last byte on `id`.
    pub(super) fn done(&mut self, id: u32, now: Instant) {
        if let State::Open(stream) = self.state(id) {
            stream.done = true;
            stream.stall.over(now);
            if stream.asked {
                self.forget(id, true, now);
            }
        }
    }

    /// The stream `id` is reset, by the client or by us: whether it had been answered, if it was
    /// open.
    pub(super) fn reset(&mut self, id: u32, by_client: bool, now: Instant) -> Option<bool> {
        let at = self.place(id).ok()?;
        let stream = self.open.get(at)?;
        let (asked, answered) = (stream.asked, stream.answered);
        self.forget(id, by_client || asked, now);
        Some(answered)
    }

    fn forget(&mut self, id: u32, by_client: bool, now: Instant) {
        if let Ok(at) = self.place(id) {
            self.open.remove(at);
        }
        if let Some(oldest) = self.ended.get_mut(self.next % REMEMBERED) {
            *oldest = (id, by_client);
        }
        self.next = (self.next + 1) % REMEMBERED;
        if self.open.is_empty() {
            self.idle = Some(now);
        }
    }

    /// The client takes `more` on a stream, or on all of them together.
    pub(super) fn widened(&mut self, id: u32, more: u32, now: Instant) -> Result<(), Code> {
        let (window, stall) = match id {
            0 => (&mut self.window, &mut self.stall),
            _ => match self.state(id) {
                State::Open(stream) => (&mut stream.window, &mut stream.stall),
                _ => return Ok(()),
            },
        };
        *window += i64::from(more);
        if *window > i64::from(MAX_WINDOW) {
            return Err(Code::FlowControl);
        }
        if *window > 0 {
            stall.over(now);
        }
        Ok(())
    }

    /// The client says what windows are from now on, those of open streams included (RFC 9113
    /// 6.9.2).
    pub(super) fn initial(&mut self, window: u32, now: Instant) -> Result<(), Code> {
        let change = i64::from(window) - self.initial;
        self.initial = i64::from(window);
        for stream in &mut self.open {
            stream.window += change;
            if stream.window > i64::from(MAX_WINDOW) {
                return Err(Code::FlowControl);
            }
            match stream.window {
                1.. => stream.stall.over(now),
                _ if stream.answered && !stream.done => {
                    stream.stall.begun(now);
                    self.changed = true;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The answer on `id` begins.
    pub(super) fn answered(&mut self, id: u32, now: Instant) {
        let mut shut = false;
        if let State::Open(stream) = self.state(id) {
            stream.answered = true;
            if stream.window <= 0 {
                stream.stall.begun(now);
                shut = true;
            }
        }
        if self.window <= 0 {
            self.stall.begun(now);
            shut = true;
        }
        self.changed |= shut;
    }

    /// We have sent `bytes` on `id`: whether a window is shut now.
    #[inline]
    pub(super) fn sent(&mut self, id: u32, bytes: u32, now: Instant) -> bool {
        self.window -= i64::from(bytes);
        self.stall.moved(bytes);
        let mut shut = self.window <= 0;
        if shut {
            self.stall.begun(now);
        }
        if let State::Open(stream) = self.state(id) {
            stream.window -= i64::from(bytes);
            stream.stall.moved(bytes);
            if stream.window <= 0 {
                stream.stall.begun(now);
                shut = true;
            }
        }
        self.changed |= shut;
        shut
    }

    /// A stream whose window has been shut for too long, if there is one.
    pub(super) fn stuck(&self, now: Instant) -> Option<u32> {
        self.open.iter().find(|it| it.stall.until().is_some_and(|at| at <= now)).map(|it| it.id)
    }

    /// Whether the window of all streams has been shut for too long, and an answer waits for it.
    pub(super) fn all_stuck(&mut self, now: Instant) -> bool {
        if self.stall.until().is_none_or(|at| at > now) {
            return false;
        }
        let waits = self.open.iter().any(|it| it.answered && !it.done);
        if !waits {
            self.stall.forgive();
        }
        waits
    }

    /// When there is something to look at again.
    pub(super) fn due(&self) -> Option<Instant> {
        let streams = self.open.iter().filter_map(|it| it.stall.until()).min();
        let all = self.stall.until();
        match (streams, all) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
