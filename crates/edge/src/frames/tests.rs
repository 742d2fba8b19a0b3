//! Frames as they come and go, without a gateway.

use std::time::Duration;

use gateway_policy::{Cut, Pace};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    frame::{Code, go_away, reset},
    wire::{Fault, Wire},
};
use crate::{Bounds, HeadSize};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

fn bounds() -> Bounds {
    let ten = Duration::from_secs(10);
    let pace = Pace { stall: Duration::from_secs(30), rate: 256 };
    Bounds {
        handshake: ten,
        head: ten,
        idle: ten * 6,
        pace,
        size: HeadSize::default(),
        shared: false,
    }
}

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.resize(9 + length, 0);
    bytes
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    let mut bytes = frame(8, 0, stream, 4);
    bytes[9..].copy_from_slice(&more.to_be_bytes());
    bytes
}

/// A connection on which one stream has been opened, and its clock.
struct Talk {
    wire: Wire,
    now: Instant,
}

impl Talk {
    fn new() -> Self {
        let now = Instant::now();
        let mut talk = Self { wire: Wire::new(&bounds(), now), now };
        talk.came(PREFACE);
        talk.came(&SETTINGS);
        talk.came(&frame(1, 4, 1, 10));
        talk
    }

    fn came(&mut self, bytes: &[u8]) {
        assert_eq!(self.wire.came(bytes, self.now), Ok(()));
    }

    fn went(&mut self, bytes: &[u8]) {
        assert_eq!(self.wire.went(bytes, self.now), Ok(()));
    }
}

/// 20 MB within no time at all, which no network is as fast as, and what clients say of it.
#[test]
fn whoever_says_of_each_piece_that_it_was_taken_may() {
    // How much a client takes before it says so: each frame; Go's 4 KiB; half a window; all of it.
    for every in [1024, 4096, 16_384, 32_768] {
        let mut talk = Talk::new();
        talk.came(&window(0, 1 << 30));
        talk.came(&window(1, 1 << 30));
        talk.went(&frame(1, 4, 1, 30));
        let (mut sent, mut said) = (0_u32, 0);
        while sent < 20_000_000 {
            talk.went(&frame(0, 0, 1, 16_384));
            sent += 16_384;
            while said + every <= sent {
                said += every;
                talk.came(&window(0, every));
                talk.came(&window(1, every));
            }
        }
    }
}

/// A client with a large window reads all of it first.
#[test]
fn whoever_says_afterwards_that_all_was_taken_may() {
    let mut talk = Talk::new();
    talk.came(&window(0, 1 << 30));
    talk.came(&window(1, 1 << 30));
    talk.went(&frame(1, 4, 1, 30));
    for _ in 0..3 {
        for _ in 0..1024 {
            talk.went(&frame(0, 0, 1, 16_384));
        }
        talk.now += Duration::from_secs(2);
        for _ in 0..4096 {
            talk.came(&window(0, 4096));
            talk.came(&window(1, 4096));
        }
    }
}

#[test]
fn a_large_body_may_come_in_small_pieces_and_at_once() {
    for length in [1, 100, 1000, 16_384] {
        let mut talk = Talk::new();
        for _ in 0..20_000 {
            talk.came(&frame(0, 0, 1, length));
        }
        talk.came(&frame(0, 1, 1, 0));
    }
}

#[test]
fn a_load_test_may_ask_as_fast_as_it_can() {
    let mut talk = Talk::new();
    for number in 1..20_000 {
        let id = 2 * number + 1;
        talk.came(&frame(1, 5, id, 20));
        talk.came(&window(id, 1000));
        talk.went(&frame(1, 4, id, 30));
        talk.went(&frame(0, 1, id, 612));
        talk.came(&window(0, 612));
    }
    assert!(talk.wire.streams.idle.is_none(), "the first one is open");
}

/// Chrome says of images that they are urgent, and tries frames that nobody knows.
#[test]
fn a_browser_may_say_what_is_urgent() {
    let mut talk = Talk::new();
    for _ in 0..60 {
        talk.came(&frame(0x10, 0, 0, 8));
        talk.came(&frame(2, 0, 3, 5));
        talk.now += Duration::from_millis(20);
    }
}

#[test]
fn a_window_is_counted_as_the_client_counts_it() {
    let mut talk = Talk::new();
    talk.went(&frame(1, 4, 1, 30));
    talk.went(&frame(0, 0, 1, 16_384));
    // SETTINGS_INITIAL_WINDOW_SIZE of 20,000: there are 3616 left.
    let mut smaller = frame(4, 0, 0, 6);
    smaller[9..].copy_from_slice(&[0, 4, 0, 0, 0x4e, 0x20]);
    talk.came(&smaller);
    talk.went(&frame(0, 0, 1, 3615));
    assert_eq!(talk.wire.streams.due(), None);
    talk.went(&frame(0, 0, 1, 1));
    let until = talk.now + Duration::from_secs(30);
    assert_eq!(talk.wire.streams.due(), Some(until));
    talk.now += Duration::from_secs(20);
    talk.came(&window(1, 256));
    assert_eq!(talk.wire.streams.due(), None);
    // A second is earned by 256 bytes, and 20 seconds are gone.
    talk.went(&frame(0, 0, 1, 256));
    assert_eq!(talk.wire.streams.due(), Some(talk.now + Duration::from_secs(11)));
    assert_eq!(talk.wire.streams.stuck(talk.now + Duration::from_secs(11)), Some(1));
    talk.went(&reset(1, Code::Cancel));
    assert_eq!(talk.wire.streams.due(), None);
}

#[test]
fn where_hyper_gives_up_is_found_however_it_is_written() {
    let mut talk = Talk::new();
    let before = [frame(1, 4, 1, 30), frame(0, 0, 1, 100)].concat();
    let over = go_away(1, Code::FlowControl);
    let all = [&before[..], &over[..]].concat();
    let fault = Fault { code: Code::FlowControl, cut: Some(Cut::H2Protocol) };
    for at in 0..=before.len() {
        let (one, other) = all.split_at(at);
        let bufs = [std::io::IoSlice::new(one), std::io::IoSlice::new(other)];
        assert_eq!(talk.wire.gives_up(&bufs), Some((before.len(), fault)), "{at}");
    }
    let bye = [&before[..], &go_away(1, Code::No)].concat();
    assert_eq!(talk.wire.gives_up(&[std::io::IoSlice::new(&bye)]), None);
    talk.went(&before);
    assert_eq!(talk.wire.gives_up(&[std::io::IoSlice::new(&over)]), Some((0, fault)));
    assert!(talk.wire.is_free());
    talk.went(&frame(1, 0, 1, 30));
    assert!(!talk.wire.is_free(), "within a header block");
}

fn any_frames() -> impl Strategy<Value = Vec<u8>> {
    let one = (0..12_u8, 0..64_u8, 0..8_u32, 0..24_usize, any::<[u8; 24]>());
    let bytes = one.prop_map(|(kind, flags, stream, length, noise)| {
        let mut bytes = frame(kind, flags, stream, length);
        bytes[9..].copy_from_slice(&noise[..length]);
        bytes
    });
    proptest::collection::vec(bytes, 0..8).prop_map(|frames| frames.concat())
}

proptest! {
    /// What is made of bytes does not depend on how they come.
    #[test]
    fn a_verdict_depends_on_the_bytes_alone(bytes in any_frames(), pieces in 1..40_usize) {
        let now = Instant::now();
        let look = |pieces: usize| {
            let mut wire = Wire::new(&bounds(), now);
            let all = [PREFACE, &SETTINGS, &frame(1, 4, 1, 10), &bytes].concat();
            let verdict = all.chunks(pieces).try_for_each(|it| wire.came(it, now));
            (verdict, wire.streams.highest())
        };
        prop_assert_eq!(look(pieces), look(1));
        prop_assert_eq!(look(usize::MAX), look(1));
    }

    /// What has been sent is followed however it is written.
    #[test]
    fn what_was_sent_is_followed(bytes in any_frames(), pieces in 1..40_usize) {
        let now = Instant::now();
        let look = |pieces: usize| {
            let mut wire = Wire::new(&bounds(), now);
            let wrong = bytes.chunks(pieces).filter(|it| wire.went(it, now).is_err()).count();
            (wrong > 0, wire.is_free(), wire.goes.missing())
        };
        prop_assert_eq!(look(pieces), look(1));
        prop_assert_eq!(look(usize::MAX), look(1));
    }
}
