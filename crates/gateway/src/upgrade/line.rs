//! What two processes of the gateway say to each other, over a socket that both hold: one packet a
//! message, and with it the sockets that are handed over.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    cmsg_space,
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg,
        shutdown, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
    stdio,
};
use serde::{Serialize, de::DeserializeOwned};

/// How many sockets one message may hand over: Linux `SCM_MAX_FD`.
const SOCKETS: usize = 253;

/// The longest message.
const LONGEST: usize = 64 * 1024;

/// One end.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    /// Both ends of a new one.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that this process was started with, in place of its standard input.
    pub(super) fn given() -> io::Result<Self> {
        let line = stdio::stdin().try_clone_to_owned()?;
        // What this process starts itself has no part in it.
        stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Self(line))
    }

    /// Says something, and hands `sockets` over.
    pub(super) fn say(
        &self,
        message: &impl Serialize,
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let message = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("more sockets than can be handed over"));
        }
        let pieces = [IoSlice::new(&message)];
        let mut send = || sendmsg(&self.0, &pieces, &mut control, SendFlags::NOSIGNAL);
        retry_on_intr(&mut send)?;
        Ok(())
    }

    /// Waits for a message, and for what is handed over with it; for ever without `patience`.
    /// Nothing if the other side is gone.
    pub(super) fn hear<T: DeserializeOwned>(
        &self,
        patience: Option<Duration>,
    ) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        set_socket_timeout(&self.0, Timeout::Recv, patience)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = vec![0; LONGEST];
        let received = retry_on_intr(|| {
            let mut pieces = [IoSliceMut::new(&mut buffer)];
            recvmsg(&self.0, &mut pieces, &mut control, RecvFlags::CMSG_CLOEXEC)
        });
        let length = match received {
            Ok(received) if received.bytes == 0 => return Ok(None),
            Ok(received) => received.bytes,
            Err(Errno::CONNRESET) => return Ok(None),
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(why) => return Err(why.into()),
        };
        let mut sockets = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(handed) = message {
                sockets.extend(handed);
            }
        }
        let message = serde_json::from_slice(buffer.get(..length).unwrap_or_default())?;
        Ok(Some((message, sockets)))
    }

    /// Has nothing more to say.
    pub(super) fn hang_up(&self) {
        // The other side may be gone.
        shutdown(&self.0, Shutdown::Write).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn a_socket_goes_over_with_what_is_said() {
        let (one, other) = Line::pair().unwrap();
        let other = Line(other);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        one.say(&"here", &[listener.as_fd()]).unwrap();
        drop(listener);
        let (said, mut handed) = other.hear::<String>(None).unwrap().unwrap();
        assert_eq!(said, "here");
        let listener = TcpListener::from(handed.pop().unwrap());
        let mut client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");

        let late = other.hear::<String>(Some(Duration::from_millis(1))).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(one);
        assert!(other.hear::<String>(None).unwrap().is_none(), "gone");
        assert!(other.say(&"anybody?", &[]).is_err());
    }
}
