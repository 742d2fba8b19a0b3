//! Where one WebSocket frame ends and the next begins (RFC 6455 5.2). Nothing else is read.

/// Follows frames as their bytes pass.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: Head,
    payload: u64,
}

/// A frame's head, as far as it has passed: 2 bytes, the rest of the length, a mask.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; 14],
    passed: usize,
}

impl Head {
    /// How long it is in all, as far as its bytes tell.
    fn length(&self) -> usize {
        let [_, second, ..] = self.bytes;
        let extended = match second & 0x7f {
            _ if self.passed < 2 => return 2,
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn payload(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.bytes;
        match second & 0x7f {
            126 => u16::from_be_bytes([a, b]).into(),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => short.into(),
        }
    }
}

impl Frames {
    /// Follows `bytes`.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(self.payload);
                self.payload -= length;
                let at = usize::try_from(length).unwrap_or(bytes.len());
                bytes = bytes.get(at..).unwrap_or_default();
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { return };
            if let Some(slot) = self.head.bytes.get_mut(self.head.passed) {
                *slot = *first;
            }
            self.head.passed += 1;
            bytes = rest;
            if self.head.passed >= 2 && self.head.passed >= self.head.length() {
                self.payload = self.head.payload();
                self.head = Head::default();
            }
        }
    }

    /// Whether the last byte that passed was a frame's last.
    pub(crate) fn between(&self) -> bool {
        self.payload == 0 && self.head.passed == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match u8::try_from(length) {
            Ok(short) if short < 126 => frame.push(mask | short),
            _ if length < 65536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend(if masked { vec![1, 2, 3, 4] } else { vec![] });
        frame.extend(vec![0xff; length]);
        frame
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_they_are_cut(
            frames in proptest::collection::vec((prop_oneof![0usize..4, 120usize..130, 65530usize..65540], any::<bool>()), 1..4),
            cut in 1usize..70000,
        ) {
            let mut follower = Frames::default();
            for (length, masked) in frames {
                let bytes = frame(length, masked);
                let (last, all_but_last) = bytes.split_last().unwrap();
                for chunk in all_but_last.chunks(cut) {
                    follower.pass(chunk);
                }
                prop_assert!(!follower.between());
                follower.pass(&[*last]);
                prop_assert!(follower.between());
            }
        }
    }
}
