//! What the steps came to, for a person and for machines.

use serde_json::{Value, json};

use super::{Ending, Step};
use crate::audit::hanging;

/// Each step with what came, and what to change.
pub(crate) fn describe(steps: &[Step]) -> String {
    let line = |step: &Step| {
        let Step { name, tried, ending, came, change } = step;
        let word = match ending {
            Ending::Fine => "fine",
            Ending::Wrong => "WRONG",
            Ending::Unknown => "?",
        };
        let mut lines = vec![format!("{word:<6} {name}")];
        lines.extend(hanging("       tried   ", tried));
        lines.extend(hanging("       came    ", came));
        let more = if *ending == Ending::Wrong { "       change  " } else { "       more    " };
        lines.extend(change.iter().flat_map(|it| hanging(more, it)));
        lines.join("\n")
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn json(steps: &[Step]) -> Value {
    json!({ "fine": steps.iter().all(|it| it.ending != Ending::Wrong), "steps": steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_says_what_to_do() {
        let steps = [
            Step::fine("a", "x".to_owned(), "y"),
            Step::wrong("b", "x".to_owned(), "\u{1b}[2J", "N8N_PROXY_HOPS=1"),
            Step::unknown("c", "x".to_owned(), "y", "z"),
        ];
        let said = describe(&steps);
        assert!(said.contains("WRONG  b") && said.contains("change  N8N_PROXY_HOPS=1"), "{said}");
        assert!(said.contains("more    z") && !said.contains('\u{1b}'), "{said}");
        assert_eq!(json(&steps)["fine"], false);
        assert_eq!(json(&steps)["steps"][1]["ending"], "wrong");
    }
}
