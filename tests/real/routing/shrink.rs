//! The shortest target that still shows what a longer one showed.

use super::case::Case;

/// Leaves out what can be left out: halves first, then less and less.
pub(super) fn shrink(case: Case, is: impl Fn(&Case) -> bool) -> Case {
    let mut best = case;
    let mut width = best.target.len() / 2;
    while width > 0 {
        let mut at = 0;
        while at + width <= best.target.len() {
            let mut shorter = best.clone();
            shorter.target.drain(at..at + width);
            if is(&shorter) {
                best = shorter;
            } else {
                at += 1;
            }
        }
        width /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{
        super::case::{Accepts, Protocol},
        *,
    };

    #[test]
    fn what_matters_stays() {
        let case = Case {
            method: "GET",
            target: b"/rest/abc/..%2f/settings?x".to_vec(),
            host: "n8n.test",
            accepts: Accepts::Html,
            protocol: Protocol::Http1,
            upgrade: false,
        };
        let is = |case: &Case| case.target.windows(3).any(|it| it == b"%2f");
        assert_eq!(shrink(case, is).target, b"%2f");
    }
}
