//! What developers and newcomers run.
fn main() {}
