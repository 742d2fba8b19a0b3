//! The request that hyper gets in place of one that is refused, so that it is answered, recorded
//! and counted like every other one.

/// A request that asks for the same as `head`, as far as that is known, and is the last one. What
/// is known are a method and a target that have been found sound.
pub(super) fn stand_in(asked: Option<(&[u8], &[u8])>, head: &[u8]) -> Vec<u8> {
    let (method, target) = asked.unwrap_or((b"GET", b"/"));
    let accept: &[u8] = if reads_pages(head) { b"accept: text/html\r\n" } else { b"" };
    [method, b" ", target, b" HTTP/1.1\r\nconnection: close\r\n", accept, b"\r\n"].concat()
}

/// Whether a person reads the answer.
fn reads_pages(head: &[u8]) -> bool {
    head.split(|it| *it == b'\n').any(|line| {
        let (name, value) = line.split_at_checked(7).unwrap_or_default();
        name.eq_ignore_ascii_case(b"accept:") && value.windows(9).any(|it| it == b"text/html")
    })
}
