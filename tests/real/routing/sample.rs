//! What the probe says of n8n, compared with what n8n does: some requests again, on n8n's own port,
//! with all its handlers.

use super::{
    judge::Passed,
    n8n::{Answer, Head, N8n},
};

/// How many were asked. What n8n answers is told by its head: a page has the fields that only the
/// page has, whatever has a name in the probe has it here, and nothing else is a success.
pub(super) fn really_so(n8n: &N8n, sample: &[(Passed, Answer)]) -> usize {
    let plain = || sample.iter().filter(|(passed, _)| !passed.upgrade);
    for (passed, answer) in plain() {
        let head = n8n.really(passed);
        let is_so = match answer.kind.as_str() {
            "route" | "mount" | "file" => {
                let told = head.answer().unwrap_or_default();
                (told.kind, told.pattern, told.name)
                    == (answer.kind.clone(), answer.pattern.clone(), answer.name.clone())
                    && !is_page(&head)
            }
            "middleware" if answer.pattern == "historyApiHandler" => is_page(&head),
            "middleware" => head.status().to_string() == answer.status && head.answer().is_none(),
            "nothing" => has_nothing(&head, &answer.status),
            "parser" => head.status() == 400,
            "folder" => !matches!(head.status(), 200..300),
            _ => false,
        };
        assert!(is_so, "{passed:?}: the probe says {answer:?}, n8n {head:?}");
    }
    plain().count()
}

/// Whether it is the editor's page, the only thing that is sent with these fields.
fn is_page(head: &Head) -> bool {
    head.status() == 200
        && head.field("content-type") == Some("text/html; charset=utf-8")
        && head.field("cross-origin-opener-policy").is_some()
        && head.field("cache-control").is_some_and(|it| it.contains("proxy-revalidate"))
}

fn has_nothing(head: &Head, status: &str) -> bool {
    let fits = match status {
        // The router lists what it would take.
        "allow" => head.status() == 200 && head.field("allow").is_some(),
        status => head.status().to_string() == status,
    };
    fits && head.answer().is_none() && !is_page(head)
}
