//! What is fuzzed stands in the tests, which replay what was found.

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

/// Gives `bytes` to the target `name`.
///
/// # Panics
///
/// If something does not hold, which is what fuzzing is for.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|(it, _)| *it == name);
    target.unwrap().1(bytes);
}
