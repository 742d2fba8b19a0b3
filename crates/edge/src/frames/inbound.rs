//! What a client sends: the rules of RFC 9113 that can be seen in frames, and how often it does
//! what.
//!
//! Whoever breaks a rule of frames is told so by GOAWAY, also where a stream's end would do (RFC
//! 9113 5.4.1 allows it): no client does that by a slip, and a server that resets streams on demand
//! is what attacks are made of.

use gateway_policy::Cut;
use tokio::time::Instant;

use super::{
    frame::{
        ACK, Code, END_HEADERS, END_STREAM, Frame, Kind, MAX_PAYLOAD, MAX_WINDOW, PADDED, PRIORITY,
    },
    limit::Limit,
    reader::{Event, PART},
    streams::State,
    wire::{Block, Fault, Wire, broken, too_much},
};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Settings whose values are looked at (RFC 9113 6.5.2, RFC 8441 3).
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The length of a setting, and how many of them cost as much as a frame of their own.
const SETTING: u32 = 6;
const SETTINGS_AT_ONCE: u32 = 16;

impl Wire {
    /// Looks at what came.
    pub(super) fn came(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
        if self.preface < PREFACE.len() {
            let missing = PREFACE.get(self.preface..).unwrap_or_default();
            let (begin, rest) = bytes.split_at_checked(missing.len()).unwrap_or((bytes, &[]));
            if !missing.starts_with(begin) {
                return Err(broken(Code::Protocol));
            }
            self.preface += begin.len();
            bytes = rest;
        }
        loop {
            match self.came.next(&mut bytes) {
                Event::More => break,
                Event::Head(frame) => self.head(frame, now)?,
                Event::Part(frame, part) => self.part(frame, part, now)?,
                Event::End(frame) => self.end(frame, now),
            }
        }
        self.passes(now);
        Ok(())
    }

    fn count(&mut self, limit: Limit, times: u32, now: Instant) -> Result<(), Fault> {
        let age = self.age(now);
        self.counts.add(limit, times, age).map_err(too_much)
    }

    fn head(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        self.frames += 1;
        let continues = frame.kind == Kind::Continuation;
        let of_block = self.block.is_some_and(|it| continues && it.stream == frame.stream);
        if of_block != continues || (self.block.is_some() && !of_block) {
            return Err(broken(Code::Protocol));
        }
        if !self.settled {
            if frame.kind != Kind::Settings || frame.has(ACK) {
                return Err(broken(Code::Protocol));
            }
            self.settled = true;
        }
        if frame.length > MAX_PAYLOAD {
            return Err(broken(Code::FrameSize));
        }
        let of_connection = matches!(frame.kind, Kind::Settings | Kind::Ping | Kind::GoAway);
        let of_either = matches!(frame.kind, Kind::WindowUpdate | Kind::Unknown);
        if !of_either && of_connection != (frame.stream == 0) {
            return Err(broken(Code::Protocol));
        }
        match frame.kind {
            Kind::Data => self.data(frame, now),
            Kind::Headers => self.headers(frame, now),
            Kind::Continuation => self.continuation(frame),
            Kind::PushPromise => Err(broken(Code::Protocol)),
            Kind::Priority => {
                self.sized(frame, 5)?;
                self.count(Limit::Priorities, 1, now)
            }
            Kind::Reset => {
                self.sized(frame, 4)?;
                self.reset(frame.stream, now)
            }
            Kind::Settings if frame.has(ACK) => {
                self.sized(frame, 0)?;
                // hyper would end the connection as well, and not say for what.
                self.owed = self.owed.checked_sub(1).ok_or_else(|| broken(Code::Protocol))?;
                Ok(())
            }
            Kind::Settings => {
                if !frame.length.is_multiple_of(SETTING) {
                    return Err(broken(Code::FrameSize));
                }
                self.came.want(6);
                self.count(Limit::Settings, 1 + frame.length / SETTING / SETTINGS_AT_ONCE, now)
            }
            Kind::Ping => {
                self.sized(frame, 8)?;
                self.count(Limit::Pings, 1, now)
            }
            Kind::GoAway if frame.length < 8 => Err(broken(Code::FrameSize)),
            Kind::GoAway => self.count(Limit::Glitches, 1, now),
            Kind::WindowUpdate => {
                self.sized(frame, 4)?;
                if matches!(self.streams.state(frame.stream), State::Idle) {
                    return Err(broken(Code::Protocol));
                }
                self.count(Limit::Updates, 1, now)
            }
            Kind::Unknown => self.count(Limit::Unknown, 1, now),
        }
    }

    /// The payload is `length` bytes long, and all of it is looked at.
    fn sized(&mut self, frame: Frame, length: u32) -> Result<(), Fault> {
        self.came.want(PART);
        if frame.length == length { Ok(()) } else { Err(broken(Code::FrameSize)) }
    }

    fn data(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        self.last = Kind::Data;
        match self.streams.state(frame.stream) {
            State::Idle => return Err(broken(Code::Protocol)),
            State::Open(stream) if stream.asked => return Err(broken(Code::StreamClosed)),
            State::Ended => return Err(broken(Code::StreamClosed)),
            // It was on its way when we had heard enough.
            State::Open(_) | State::Reset => {}
            State::Forgotten => self.count(Limit::Glitches, 1, now)?,
        }
        if frame.has(PADDED) {
            self.came.want(1);
            return if frame.length == 0 { Err(broken(Code::FrameSize)) } else { Ok(()) };
        }
        if frame.length == 0 && !frame.has(END_STREAM) {
            self.count(Limit::EmptyData, 1, now)?;
        }
        Ok(())
    }

    fn headers(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        self.last = Kind::Headers;
        if frame.stream.is_multiple_of(2) {
            return Err(broken(Code::Protocol));
        }
        match self.streams.state(frame.stream) {
            State::Idle => {
                self.streams.opened(frame.stream);
                self.counts.excuse(Limit::Updates, 2);
            }
            State::Open(stream) if stream.asked => return Err(broken(Code::StreamClosed)),
            State::Ended => return Err(broken(Code::StreamClosed)),
            State::Open(_) => {}
            State::Reset => self.count(Limit::Glitches, 1, now)?,
            State::Forgotten => return Err(broken(Code::Protocol)),
        }
        let fixed = u32::from(frame.has(PADDED)) + 5 * u32::from(frame.has(PRIORITY));
        if frame.length < fixed {
            return Err(broken(Code::FrameSize));
        }
        self.came.want(usize::try_from(fixed).unwrap_or(PART));
        self.block = Some(Block {
            stream: frame.stream,
            last: frame.has(END_STREAM),
            bytes: frame.length,
            continuations: 0,
            first: self.frames,
        });
        Ok(())
    }

    fn continuation(&mut self, frame: Frame) -> Result<(), Fault> {
        self.last = Kind::Continuation;
        let Some(block) = &mut self.block else { return Err(broken(Code::Protocol)) };
        block.continuations += 1;
        block.bytes = block.bytes.saturating_add(frame.length);
        let (bytes, continuations) = self.most;
        if block.continuations > continuations || block.bytes > bytes {
            return Err(too_much(Cut::H2Headers));
        }
        Ok(())
    }

    fn reset(&mut self, id: u32, now: Instant) -> Result<(), Fault> {
        self.last = Kind::Reset;
        if matches!(self.streams.state(id), State::Idle) {
            return Err(broken(Code::Protocol));
        }
        self.count(Limit::Resets, 1, now)?;
        self.count(Limit::ResetsEver, 1, now)?;
        if self.streams.reset(id, true, now) == Some(false) {
            self.count(Limit::EarlyResets, 1, now)?;
        }
        Ok(())
    }

    fn part(&mut self, frame: Frame, part: [u8; PART], now: Instant) -> Result<(), Fault> {
        let [a, b, c, d, e, f, ..] = part;
        let number = u32::from_be_bytes([a, b, c, d]) & MAX_WINDOW;
        match frame.kind {
            Kind::Data => match frame.length.checked_sub(u32::from(a) + 1) {
                None => Err(broken(Code::Protocol)),
                Some(0) if !frame.has(END_STREAM) => self.count(Limit::EmptyData, 1, now),
                Some(_) => Ok(()),
            },
            Kind::Headers => {
                let (padded, urgent) = (frame.has(PADDED), frame.has(PRIORITY));
                let fixed = u32::from(padded) + 5 * u32::from(urgent);
                let padding = if padded { u32::from(a) } else { 0 };
                let after = if padded { [b, c, d, e] } else { [a, b, c, d] };
                let other = u32::from_be_bytes(after) & MAX_WINDOW;
                // hyper would not read the block, and every later one wrongly.
                let own = urgent && other == frame.stream;
                if fixed + padding > frame.length || own {
                    return Err(broken(Code::Protocol));
                }
                Ok(())
            }
            Kind::Priority if number == frame.stream => Err(broken(Code::Protocol)),
            Kind::WindowUpdate if number == 0 => Err(broken(Code::Protocol)),
            Kind::WindowUpdate => self.streams.widened(frame.stream, number, now).map_err(broken),
            Kind::Settings => {
                self.came.want(6);
                let value = u32::from_be_bytes([c, d, e, f]);
                self.setting(u16::from_be_bytes([a, b]), value, now)
            }
            _ => Ok(()),
        }
    }

    fn setting(&mut self, name: u16, value: u32, now: Instant) -> Result<(), Fault> {
        match name {
            ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL if value > 1 => Err(broken(Code::Protocol)),
            INITIAL_WINDOW_SIZE if value > MAX_WINDOW => Err(broken(Code::FlowControl)),
            INITIAL_WINDOW_SIZE => self.streams.initial(value, now).map_err(broken),
            MAX_FRAME_SIZE if !(MAX_PAYLOAD..1 << 24).contains(&value) => {
                Err(broken(Code::Protocol))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, frame: Frame, now: Instant) {
        let last = match frame.kind {
            Kind::Data => frame.has(END_STREAM),
            Kind::Headers | Kind::Continuation if frame.has(END_HEADERS) => {
                self.block.take().is_some_and(|it| it.last)
            }
            _ => false,
        };
        if last {
            self.streams.asked(frame.stream, now);
        }
    }
}
