//! Ports for programs that are told which to listen on, and open them a while later.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where they are from. Linux draws the ports of whoever asks for any, and of whoever connects, from 32768 on
/// (`ip(7)`, `ip_local_port_range`): there, another test could be given one before it is opened.
const FIRST: u32 = 16_384;
const COUNT: u32 = 15_616;

/// Ports that are free now, and that nobody of this process is given again soon.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

/// One of them.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run beside this one begin elsewhere.
    let begin = process::id().wrapping_mul(97);
    let mut tried = (0..COUNT).map(|_| {
        let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + next % COUNT).unwrap_or_default()
    });
    let free = tried.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.expect("no port is free")
}
