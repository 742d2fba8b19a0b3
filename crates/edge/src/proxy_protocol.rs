//! The PROXY protocol header, version 1 and 2, read to its last byte and not one further.
//!
//! Source: HAProxy, `doc/proxy-protocol.txt`.

use std::{io, net::SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Both versions are longer than this.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// "the receiver must be prepared to receive up to 107 bytes" (2.1).
const LONGEST_V1: usize = 107;

/// Addresses and some TLVs; what is longer is no load balancer's.
const LONGEST_V2: usize = 4096;

/// Reads a header. The source that it names; nothing if it speaks for its sender itself
/// (`LOCAL`, `UNKNOWN`: health checks).
///
/// # Errors
///
/// Anything but a header.
pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    io.read_exact(&mut header).await?;
    if header == SIGNATURE { version_2(io, header).await } else { version_1(io, header).await }
}

async fn version_1(
    io: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    if !header.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= LONGEST_V1 {
            return Err(malformed());
        }
        header.push(io.read_u8().await?);
    }
    let header = v1::Header::try_from(header.as_slice()).map_err(|_| malformed())?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(it) => Some((it.source_address, it.source_port).into()),
        v1::Addresses::Tcp6(it) => Some((it.source_address, it.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn version_2(
    io: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    let mut fixed = [0; 4];
    io.read_exact(&mut fixed).await?;
    header.extend_from_slice(&fixed);
    let [_, _, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 {
        return Err(malformed());
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    header.extend_from_slice(&rest);
    let header = v2::Header::try_from(header.as_slice()).map_err(|_| malformed())?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(it)) => {
            Some((it.source_address, it.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(it)) => {
            Some((it.source_address, it.source_port).into())
        }
        (v2::Command::Local | v2::Command::Proxy, _) => None,
    })
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn source(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), io::ErrorKind> {
        let mut rest = bytes;
        let read = read(&mut rest).await.map_err(|why| why.kind())?;
        Ok((read.map(|it| it.to_string()), rest.to_vec()))
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body, b"GET"].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_last_byte() {
        let then = |source: Option<&str>| Ok((source.map(str::to_owned), b"GET".to_vec()));
        let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\nGET";
        assert_eq!(source(v1).await, then(Some("192.0.2.1:5000")));
        let v1 = b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\nGET";
        assert_eq!(source(v1).await, then(Some("[2001:db8::1]:5000")));
        assert_eq!(source(b"PROXY UNKNOWN\r\nGET").await, then(None));
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 1, 0xbb];
        assert_eq!(source(&v2(0x21, 0x11, &v4)).await, then(Some("192.0.2.1:5000")));
        // With a TLV behind the addresses, and from a health check.
        let tlv = [&v4[..], &[4, 0, 1, 0]].concat();
        assert_eq!(source(&v2(0x21, 0x11, &tlv)).await, then(Some("192.0.2.1:5000")));
        assert_eq!(source(&v2(0x20, 0, &[])).await, then(None));
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let huge = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff], &[0; 100]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.999 192.0.2.2 1 2\r\n",
            b"PROXY",
            &SIGNATURE,
            &long,
            &huge,
            &v2(0x21, 0x11, &[1, 2, 3]),
        ] {
            assert!(source(bytes).await.is_err(), "{bytes:?}");
        }
    }
}
