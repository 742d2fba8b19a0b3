//! Known attacks: every entry's attacks and what looks like them, held against the catalogue alone
//! and through the whole gateway.

mod pure;
mod whole;
