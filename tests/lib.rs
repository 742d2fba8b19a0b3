//! The gateway as a whole; see `e2e`, `house` and `real`.
