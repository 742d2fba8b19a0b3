//! Requests: n8n's own routes, and what people and machines make of paths.

use super::case::{Accepts, Case, Protocol};

/// Paths that are no route's, or look like one.
const PATHS: [&str; 46] = [
    "/",
    "/oauth/authorize/x",
    "/mcp-oauth/authorize/x",
    "/signin",
    "/workflow/1",
    "/webhook",
    "/webhook/",
    "/oauth/consent",
    "/api",
    "/api/v2/x",
    "/healthz/x",
    "/index.html",
    "/static/n8n-logo.png",
    "/static/og_image.png",
    "/static/x.js",
    "/STATIC/n8n-logo.png",
    "/assets/index.js",
    "/favicon.ico",
    "/icons/a/b/c.svg",
    "/icons/a.svg",
    "/schemas/a/1.0.0/b/c.json",
    "/schemas/a",
    "/types/nodes.json",
    "/types/x",
    "/tree-sitter.wasm",
    "/chat",
    "/chat/x",
    "/chats",
    "/browser-use/x",
    "/browser-use/cdp/1",
    "/rest/push",
    "/rest/push/x",
    "/rest",
    "/restx",
    "/rest/e2e/reset",
    "/rest/ph/decide",
    "/rest/telemetry/proxy/v1/track",
    "/rest/debug/x",
    "/rest/instance-ai/test/x",
    "/rest/auth/embed",
    "/webhook-waiting-slack/x",
    "/mcp-server/http/x",
    "/.well-known/x",
    "/oauth/token/x",
    "/metrics/x",
    "/e2e/db",
];

/// What stands in the place of a parameter.
const NAMES: [&str; 30] = [
    "1",
    "x1",
    "orders",
    "orders/9",
    "Orders",
    "%6frders",
    "login",
    "settings",
    "a%2Fb",
    "caf%C3%A9",
    "v1",
    ":id",
    "%3Aid",
    "push",
    "static",
    "types",
    "nodes.json",
    "n8n-logo.png",
    "..a",
    "...",
    "a.b",
    "%zz",
    "%",
    "constructor",
    "__proto__",
    "login%2f",
    "77777777-7777-4777-8777-777777777777",
    "-slack",
    "webhook",
    "e2e",
];

/// What is put somewhere.
const PIECES: [&[u8]; 78] = [
    b"/",
    b"//",
    b"///",
    b"/.",
    b"/./",
    b"/..",
    b"/../",
    b"/%2e",
    b"/%2E/",
    b"/%2e%2e/",
    b"/.%2E/",
    b"/%2e.",
    b"/..;/",
    b"/...",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%5C",
    b"\\",
    b"\\..\\",
    b"/..%2f",
    b"..%2F",
    b"%2f..%2f",
    b"/..%5c",
    b"%252f",
    b"%252e%252e",
    b";",
    b";a=b",
    b";/",
    b"%3b",
    b"/;/",
    b"?",
    b"?x=1",
    b"?/../rest/login",
    b"??",
    b"?x#y",
    b"#",
    b"#/x",
    b"%23",
    b"%3f",
    b"&",
    b"=",
    b"%0a",
    b"%0D%0A",
    b"%e2%80%a8",
    b"/%0a",
    b"%00",
    b"\0",
    b"\t",
    b"\r",
    b"\n",
    b" ",
    b"%20",
    b"+",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b"?\xa0",
    b"?\xc2\xa0",
    b"\xff",
    b"\xc3\xa9",
    b"\xc0\xaf",
    b"%c0%af",
    b"%e0%80%af",
    b"%c0%ae%c0%ae/",
    b"%u002f",
    b"%ef%bc%8f",
    b"\xef\xbc\x8f",
    b"\xe2\x84\xaa",
    b"\xc5\xbf",
    b"\"",
    b"<",
    b"{x}",
    b"|",
    b"^",
    b"`",
    b":",
    b"@",
];

/// What comes first.
const FRONTS: [&[u8]; 17] = [
    b"http://only.test",
    b"https://only.test",
    b"HTTP://ONLY.TEST",
    b"http://only.test:443",
    b"http://hooks.test",
    b"http://a@only.test",
    b"http://other.test",
    b"//n8n.test",
    b"/http://n8n.test",
    b"http:",
    b"n8n.test",
    b"http://",
    b"/..",
    b"/.",
    b"/%2e%2e",
    b"\\",
    b"/x/..%2f",
];

/// What comes last.
const ENDS: [&[u8]; 14] = [
    b"/",
    b"//",
    b"/x",
    b"/.",
    b"/..",
    b".json",
    b".html",
    b".wasm",
    b"%20",
    b"%2e",
    b".",
    b"/index.html",
    b"%00.png",
    b"~",
];

const METHODS: [&str; 12] = [
    "GET", "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH",
];

/// SplitMix64 (Steele, Lea, Flood 2014): the same everywhere, and enough for this.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((it ^ (it >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.roll(many) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// An endless number of requests.
pub(super) struct Generator {
    dice: Dice,
    /// n8n's routes, parameters and all: those of each surface, so that the few that everybody may
    /// call come up as often as the editor's hundreds.
    groups: Vec<Vec<String>>,
}

impl Generator {
    pub(super) fn new(seed: u64, groups: Vec<Vec<String>>) -> Self {
        Self { dice: Dice(seed), groups }
    }

    fn path(&mut self) -> Vec<u8> {
        if self.dice.one_in(3) {
            return self.dice.pick(&PATHS).into();
        }
        let group = self.dice.roll(self.groups.len());
        let route = self.dice.roll(self.groups[group].len());
        let pattern = self.groups[group][route].clone();
        let mut path = Vec::new();
        for segment in pattern.split('/').skip(1) {
            path.push(b'/');
            match segment.split_once(['*', ':']) {
                Some((stem, rest)) => {
                    path.extend(stem.bytes().filter(|it| !b"{}@".contains(it)));
                    path.extend(self.dice.pick(&NAMES).bytes());
                    let end = rest.rsplit_once('.').map_or("", |(_, end)| end);
                    path.extend(
                        if end.is_empty() { String::new() } else { format!(".{end}") }.bytes(),
                    );
                }
                None => path.extend(segment.bytes()),
            }
        }
        path
    }

    fn mutate(&mut self, target: &mut Vec<u8>) {
        let at = self.dice.roll(target.len() + 1);
        match self.dice.roll(14) {
            0 => target.make_ascii_uppercase(),
            1 => target.iter_mut().skip(at).take(3).for_each(u8::make_ascii_uppercase),
            2 => drop(target.splice(at..at, self.dice.pick(&PIECES).iter().copied())),
            3 => self.at_a_slash(target),
            4 => drop(target.splice(0..0, self.dice.pick(&FRONTS).iter().copied())),
            5 | 6 => target.extend(self.dice.pick(&ENDS)),
            7 => self.encode(target, at),
            8 => target.truncate(at.max(1)),
            9 => drop(target.get(at).is_some().then(|| target.remove(at))),
            10 => self.nest(target),
            11 => self.rearrange(target),
            12 => {
                target.push(b'/');
                target.extend(self.dice.pick(&NAMES).bytes());
            }
            _ => {
                let long = if self.dice.one_in(20) { 8_200 } else { 40 };
                let byte = self.dice.pick(b"a/%.");
                target.splice(at..at, std::iter::repeat_n(byte, self.dice.roll(long)));
            }
        }
    }

    /// Where segments begin and end.
    fn at_a_slash(&mut self, target: &mut Vec<u8>) {
        let slashes: Vec<usize> = (0..target.len()).filter(|it| target[*it] == b'/').collect();
        if slashes.is_empty() {
            return;
        }
        let at = self.dice.pick(&slashes);
        let end = if self.dice.one_in(2) { at + 1 } else { at };
        target.splice(at..end, self.dice.pick(&PIECES).iter().copied());
    }

    fn encode(&mut self, target: &mut Vec<u8>, at: usize) {
        let Some(byte) = target.get(at) else { return };
        let encoded =
            if self.dice.one_in(2) { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
        target.splice(at..=at, encoded.into_bytes());
    }

    /// One path below another, or beside it.
    fn nest(&mut self, target: &mut Vec<u8>) {
        let glue: &[u8] = self.dice.pick(&[b"", b"/..", b"/..%2f", b"/x/../..", b"/.", b"?"]);
        let mut other = self.path();
        if glue.ends_with(b"%2f") {
            other.remove(0);
        }
        target.extend(glue);
        target.extend(other);
    }

    fn rearrange(&mut self, target: &mut Vec<u8>) {
        let mut segments: Vec<Vec<u8>> =
            target.split(|it| *it == b'/').map(<[u8]>::to_vec).collect();
        let (one, other) = (self.dice.roll(segments.len()), self.dice.roll(segments.len()));
        match self.dice.roll(3) {
            0 => segments.swap(one, other),
            1 => drop(segments.remove(one)),
            _ => segments.insert(one, segments[other].clone()),
        }
        *target = segments.join(&b'/');
    }
}

impl Iterator for Generator {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        let mut target = self.path();
        for _ in 0..self.dice.pick(&[0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4]) {
            self.mutate(&mut target);
        }
        // Sockets are asked for at few paths, and answered at fewer.
        let socket = [&b"/chat"[..], b"/browser-use", b"/push"];
        let often = socket.iter().any(|it| target.windows(it.len()).any(|at| at == *it));
        let upgrade = self.dice.one_in(if often { 2 } else { 20 });
        let method = match self.dice.roll(200) {
            0 => "PROPFIND",
            1..100 if upgrade => "GET",
            _ => self.dice.pick(&METHODS),
        };
        Some(Case {
            method,
            target,
            host: self.dice.pick(&["only.test", "only.test", "n8n.test", "hooks.test"]),
            accepts: self.dice.pick(&[
                Accepts::Html,
                Accepts::Html,
                Accepts::Json,
                Accepts::Nothing,
            ]),
            protocol: if self.dice.one_in(3) { Protocol::Http2 } else { Protocol::Http1 },
            upgrade,
        })
    }
}
