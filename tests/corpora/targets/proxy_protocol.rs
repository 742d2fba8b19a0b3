//! A PROXY protocol header: read to its last byte, and never one further.

use std::net::SocketAddr;

use futures_util::FutureExt;
use gateway_edge::proxy_protocol;

/// Whom a header names, if it is one, and its length.
fn read(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ()>, usize) {
    let whole = bytes.len();
    // Bytes in memory are there at once.
    let read = proxy_protocol::read(&mut bytes).now_or_never().unwrap();
    (read.map_err(drop), whole - bytes.len())
}

pub(super) fn run(bytes: &[u8]) {
    let (Ok(source), length) = read(bytes) else { return };
    assert!(length > 12, "shorter than any header");
    let header = &bytes[..length];
    assert_eq!(read(header), (Ok(source), length), "what follows changes what it says");
    assert_eq!(read(&header[..length - 1]).0, Err(()), "it could be shorter");
    if header.starts_with(b"PROXY ") {
        assert!(header.ends_with(b"\r\n"));
        // Whatever follows `UNKNOWN` is to be ignored (2.1).
        let Some(source) = source else { return };
        let text = std::str::from_utf8(header).unwrap();
        let [_, _, address, _, port, last] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not six words: {text:?}");
        };
        assert_eq!((address.parse(), port.parse()), (Ok(source.ip()), Ok(source.port())));
        assert!(last.trim_end_matches("\r\n").parse::<u16>().is_ok(), "{text:?}");
    }
}
