//! Known attacks on n8n, as data: what a request that makes use of a flaw looks like, and which
//! releases have the flaw.
//!
//! An [`Entry`] is about one advisory. Its [`Shape`]s say where on n8n's surface its requests are
//! made and what is in them: in the path, the query, the header fields and the body, which is read
//! as n8n reads it or, where that is not possible, not at all ([`Unreadable`]).

mod catalogue;
mod entry;
mod field;
mod head;
mod read;
mod text;

pub use catalogue::catalogue;
pub use entry::{
    BodyTest, Entry, HeadTest, InvalidPath, Kinds, Likeness, Part, Presence, Route, Shape,
};
pub use field::{FieldPath, InvalidField};
pub use head::Head;
pub use read::{Manner, Multipart, Unreadable, found_in, manner, reads};
pub use text::Text;
