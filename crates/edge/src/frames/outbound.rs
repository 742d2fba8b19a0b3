//! What hyper sends: what it makes of streams and windows, and what clients make it do.

use gateway_policy::Cut;
use tokio::time::Instant;

use super::{
    frame::{ACK, Code, END_HEADERS, END_STREAM, Frame, Kind},
    limit::{BARE, DRIBBLE, Limit},
    reader::{Event, PART},
    wire::{Fault, Wire, too_much},
};

impl Wire {
    /// Looks at what has been sent. All of it has been, also if it was one thing too many.
    pub(super) fn went(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
        let mut all = Ok(());
        loop {
            let step = match self.goes.next(&mut bytes) {
                Event::More => return all,
                Event::Head(frame) => self.goes_on(frame, now),
                Event::Part(frame, [a, b, c, d, ..]) => {
                    self.given_up(frame.stream, Code::read(u32::from_be_bytes([a, b, c, d])), now)
                }
                Event::End(frame) => {
                    let ends = matches!(frame.kind, Kind::Data | Kind::Headers);
                    if ends && frame.has(END_STREAM) {
                        self.streams.done(frame.stream, now);
                    }
                    Ok(())
                }
            };
            all = all.and(step);
        }
    }

    fn goes_on(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        match frame.kind {
            Kind::Data => {
                let shut = self.streams.sent(frame.stream, frame.length, now);
                // What is taken may be said to be, of the connection and of the stream.
                self.counts.excuse(Limit::Updates, 2 + frame.length / 256);
                if shut && frame.length < DRIBBLE && !frame.has(END_STREAM) {
                    let age = self.age(now);
                    return self.counts.add(Limit::Dribbles, 1, age).map_err(too_much);
                }
                self.counts.excuse(Limit::Dribbles, frame.length / 1024);
            }
            Kind::Headers => {
                self.our_block = !frame.has(END_HEADERS);
                self.streams.answered(frame.stream, now);
                if frame.length <= BARE && frame.has(END_STREAM) {
                    let age = self.age(now);
                    return self.counts.add(Limit::Lists, 1, age).map_err(too_much);
                }
            }
            Kind::Continuation => self.our_block = !frame.has(END_HEADERS),
            Kind::Settings if !frame.has(ACK) => self.owed += 1,
            Kind::Reset => self.goes.want(PART),
            _ => {}
        }
        Ok(())
    }

    /// A stream is reset by us: the client's fault, unless it is ours or nobody's.
    fn given_up(&mut self, id: u32, code: Code, now: Instant) -> Result<(), Fault> {
        self.streams.reset(id, false, now);
        let limit = match code {
            Code::No | Code::Internal | Code::Cancel => return Ok(()),
            Code::RefusedStream => Limit::Refusals,
            _ => Limit::MadeResets,
        };
        let age = self.age(now);
        self.counts.add(limit, 1, age).map_err(too_much)
    }

    /// Resets the stream `id`, whose window has been shut for too long.
    pub(super) fn give_up(&mut self, id: u32, now: Instant) -> Result<(), Fault> {
        self.streams.reset(id, false, now);
        let age = self.age(now);
        self.counts.add(Limit::Stalls, 1, age).map_err(|_| too_much(Cut::H2Stalled))
    }
}
