//! Why a connection ends, noted by whichever of its parts ends it.

use std::sync::OnceLock;

use gateway_policy::Cut;

/// What all parts of one connection share: the first of them that cuts it says why.
#[derive(Debug, Default)]
pub(crate) struct Fate(OnceLock<Cut>);

impl Fate {
    /// Notes why the connection is cut, unless it is cut already.
    pub(crate) fn cut(&self, cut: Cut) {
        // What follows the first one follows from it.
        self.0.get_or_init(|| cut);
    }

    /// Why the connection was cut, if it was.
    pub(crate) fn was(&self) -> Option<Cut> {
        self.0.get().copied()
    }
}
