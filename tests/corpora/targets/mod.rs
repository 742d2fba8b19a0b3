//! What is fuzzed, and what must hold whatever the bytes are. The fuzzers in `fuzz/` call these
//! functions, and so does the test that replays what they have found.

mod attack_body;
mod cookie;
mod head;
mod login_body;
mod path;
mod policy_file;
mod proxy_protocol;

/// Every target by its name.
pub(crate) const TARGETS: [(&str, fn(&[u8])); 7] = [
    ("attack_body", attack_body::run),
    ("cookie", cookie::run),
    ("head", head::run),
    ("login_body", login_body::run),
    ("path", path::run),
    ("policy_file", policy_file::run),
    ("proxy_protocol", proxy_protocol::run),
];
